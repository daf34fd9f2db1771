package navigation

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// listsVariable names a file of User-Agents as e2e/bots/lists.mjs writes it.
const listsVariable = "INTILERY_BOT_LISTS"

const (
	maxCrawlersMissed = 0.03   // of a list of crawlers, taken for visitors
	maxHumansRefused  = 0.0001 // of a list of humans, taken for bots
	shownErrors       = 50
)

// list is how the rules do on one list of User-Agents.
type list struct {
	name, kind    string
	agents        int
	wrong         []string // rule and User-Agent, by all rules
	wrongByAgents int      // by the rules on the User-Agent alone
}

// TestLists measures the rules with public lists, and prints the figures as a
// Markdown table. Crawlers send what tools send: the Accept header of a page,
// over HTTPS, and no Fetch Metadata. Humans send what their browsers send.
func TestLists(t *testing.T) {
	path := os.Getenv(listsVariable)
	if path == "" {
		t.Skipf("%s is not set; run e2e/bots/run.sh", listsVariable)
	}
	lists := measure(t, path)
	if len(lists) == 0 {
		t.Fatalf("no User-Agents in %s", path)
	}
	fmt.Println("| list | User-Agents | taken for | by all rules | by the User-Agent alone | limit |")
	fmt.Println("|---|---:|---|---:|---:|---:|")
	for _, l := range lists {
		limit, takenFor := maxCrawlersMissed, "visitors"
		if l.kind == "human" {
			limit, takenFor = maxHumansRefused, "bots"
		}
		wrong := len(l.wrong)
		fmt.Printf("| %s, %ss | %d | %s | %d (%s) | %d (%s) | %s |\n", l.name, l.kind, l.agents, takenFor,
			wrong, percent(wrong, l.agents), l.wrongByAgents, percent(l.wrongByAgents, l.agents), percent(limit, 1))
		if float64(wrong) > limit*float64(l.agents) {
			t.Errorf("%s: %d of %d %ss are taken for %s, more than %s:\n%s", l.name, wrong, l.agents, l.kind, takenFor,
				percent(limit, 1), strings.Join(l.wrong[:min(shownErrors, wrong)], "\n"))
		}
	}
}

func measure(t *testing.T, path string) (lists []*list) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	byAgents := mustBots(t, false, nil, nil, true)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var entry struct{ List, Kind, Agent string }
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(lists, func(l *list) bool { return l.name == entry.List && l.kind == entry.Kind })
		if i < 0 {
			i, lists = len(lists), append(lists, &list{name: entry.List, kind: entry.Kind})
		}
		l := lists[i]
		r := &http.Request{Header: http.Header{"User-Agent": {entry.Agent}, "Accept": {"text/html"}}}
		if entry.Kind == "human" {
			r.Header["Sec-Fetch-Dest"], r.Header["Sec-Fetch-Mode"] = []string{"document"}, []string{"navigate"}
		}
		wrong := func(rule Rule) bool { return (rule == "") == (entry.Kind == "crawler") }
		l.agents++
		if wrong(byAgents.Rule(r, true)) {
			l.wrongByAgents++
		}
		if rule := builtin.Rule(r, true); wrong(rule) {
			l.wrong = append(l.wrong, fmt.Sprintf("%q: %s", rule, entry.Agent))
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return lists
}

func percent[N int | float64](part N, of int) string {
	return fmt.Sprintf("%.3g %%", 100*float64(part)/float64(of))
}
