package fleet

import (
	"strings"
	"testing"
)

func FuzzEscape(f *testing.F) {
	for _, text := range []string{"", "a.b", "a=2Eb", "=", "node_1-x", "ü", "a.b.c", "*", ">"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token := escape(text)
		if strings.ContainsAny(token, ".*> ") {
			t.Errorf("%q became %q", text, token)
		}
		if back, ok := unescape(token); !ok || back != text {
			t.Errorf("%q became %q, and that %q", text, token, back)
		}
		if back, ok := unescape(text); ok && escape(back) != text {
			t.Errorf("%q was taken for what escape returns", text)
		}
	})
}

func TestNames(t *testing.T) {
	n, err := newNames(Options{Name: "IQ", Node: "caddy-1.example"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := n.lane("my_shop/3")
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		l.stream:                        "IQ_my_shop_3",
		l.event(someone(255)):           "IQ.my_shop.3.ev.000000000000000000000000000000ff",
		l.position(n.node):              "IQ.my_shop.3.pos.caddy-1=2Eexample",
		n.deadLetters("my_shop"):        "IQ_my_shop_DEAD",
		n.deadLetterSubjects("my_shop"): "IQ.my_shop.dead.>",
		n.deadLetter("a", someone(1)):   "IQ.a.dead." + someone(1),
		n.bucketStream():                "KV_IQ_FLEET",
		n.key("node.x"):                 "$KV.IQ_FLEET.node.x",
		n.keyOf("$KV.IQ_FLEET.node.x"):  "node.x",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for _, o := range []Options{
		{Name: "I_Q", Node: "n"}, {Name: "I.Q", Node: "n"}, {Name: "", Node: "n"},
		{Name: "IQ", Node: ""}, {Name: "IQ", Node: "a b"}, {Name: "IQ", Node: "a/b"},
	} {
		if _, err := newNames(o); err == nil {
			t.Errorf("name %q, node %q were taken", o.Name, o.Node)
		}
	}
}
