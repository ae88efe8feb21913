"""Packaging: everything is read from settings.ini, the single source of the project's metadata."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

root = Path(__file__).parent
parser = ConfigParser(delimiters=["="])
parser.read(root / "settings.ini", encoding="utf-8")
settings = parser["DEFAULT"]

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=(root / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=settings["author"],
    author_email=settings["author_email"],
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=settings["keywords"].split(),
    python_requires=f">={settings['min_python']}",
    packages=find_packages(include=["icckd", "icckd.*"]),
    package_data={"icckd.reporting": ["published/*.csv"], "icckd.runs": ["built_in/*.toml"]},
    include_package_data=True,
    install_requires=settings["requirements"].split(),
    extras_require={
        "batch": settings["batch_requirements"].split(),
        "export": settings["export_requirements"].split(),
        "docs": settings["docs_requirements"].split(),
        "dev": [word for name in ("batch", "export", "docs", "dev") for word in settings[f"{name}_requirements"].split()],
    },
    entry_points={
        "nbdev": [f"{settings['lib_name']}={settings['lib_name']}._modidx:d"],
        "console_scripts": ["icckd=icckd.distillation.cli:main"],
    },
)
