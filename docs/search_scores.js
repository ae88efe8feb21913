// Of pages with the same words, those that explain a method come first, and references last; else Sphinx's own scores.
var Scorer = {
  score: ([page, , , , score]) => score + (/^losses\//.test(page) ? 4 : /^(api|_modules|records)\//.test(page) ? -3 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
