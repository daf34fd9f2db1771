package navigation

// wordEndings are ends of words by which bots say what they do.
var wordEndings = []ending{
	{text: "bot", found: botWord}, {text: "bots", found: botWord},
	{text: "crawl", found: botWord}, {text: "crawler", found: botWord}, {text: "crawlers", found: botWord},
	{text: "crawling", found: botWord},
	{text: "spider", found: botWord}, {text: "spiders", found: botWord},

	{text: "favicon", found: botWord}, {text: "favicons", found: botWord},
	{text: "subscriber", found: botWord}, {text: "subscribers", found: botWord},
	{text: "synthetic", found: botWord}, {text: "synthetics", found: botWord},
	{text: "uptime", found: botWord}, {text: "validator", found: botWord},
	{text: "webhook", found: botWord}, {text: "webhooks", found: botWord},

	{text: "analyzer", found: taskWord}, {text: "archiver", found: taskWord}, {text: "checker", found: taskWord},
	{text: "detector", found: taskWord}, {text: "fetcher", found: taskWord}, {text: "indexer", found: taskWord},
	{text: "inspector", found: taskWord}, {text: "monitor", found: taskWord}, {text: "monitoring", found: taskWord},
	{text: "parser", found: taskWord}, {text: "preview", found: taskWord}, {text: "scraper", found: taskWord},
	{text: "scraping", found: taskWord}, {text: "scan", found: taskWord, whole: true},
	{text: "scanner", found: taskWord, whole: true}, {text: "whatsapp", found: taskWord, whole: true},
}

var builtinEndings = newEndings(wordEndings)

// endings are the ends of words that say what a client does, by their last
// letter.
type endings [26][]ending

type ending struct {
	text  string
	found evidence
	whole bool // the word has nothing before it
}

func newEndings(all []ending) (e endings) {
	for _, end := range all {
		last := end.text[len(end.text)-1] - 'a'
		e[last] = append(e[last], end)
	}
	return e
}

// match returns the evidence of a word, given in lower case and as it is written.
// A "bot" in capitals is a maker's or a model's name, and "Caboto" a town.
func (e *endings) match(lower []byte, written string) evidence {
	last := written[len(written)-1]
	if last < 'a' || last > 'z' {
		return 0
	}
	var found evidence
	for _, end := range e[last-'a'] {
		rest := len(lower) - len(end.text)
		if rest >= 0 && (rest == 0 || !end.whole) && string(lower[rest:]) == end.text {
			found |= end.found
		}
	}
	return found
}

func (e *endings) remove(text string) bool {
	if text == "" || text[len(text)-1] < 'a' || text[len(text)-1] > 'z' {
		return false
	}
	list := &e[text[len(text)-1]-'a']
	for i, end := range *list {
		if end.text == text {
			*list = append((*list)[:i:i], (*list)[i+1:]...)
			return true
		}
	}
	return false
}
