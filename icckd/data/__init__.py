"Data sets by name."
