package collect

import (
	"encoding/json"

	"github.com/tidwall/gjson"
)

// extras are members that are passed on as they are. Of equal names the last one
// counts, as in JavaScript: a call that has a member twice could be refused, and its
// whole batch with it.
type extras struct {
	list  []extra
	index map[string]int // of list, once it is long
}

type extra struct{ name, key, value string } // key and value as JSON

// fewExtras are looked through without an index.
const fewExtras = 8

func (x *extras) add(key, value gjson.Result) { x.put(extra{key.Str, key.Raw, value.Raw}) }

// addNamed adds a member whose name needs no escapes.
func (x *extras) addNamed(name string, value gjson.Result) {
	x.put(extra{name, `"` + name + `"`, value.Raw})
}

func (x *extras) put(e extra) {
	if at, known := x.find(e.name); known {
		x.list[at].value = e.value
		return
	}
	if x.list == nil {
		x.list = make([]extra, 0, fewExtras)
	}
	x.list = append(x.list, e)
	switch n := len(x.list); {
	case x.index != nil:
		x.index[e.name] = n - 1
	case n > fewExtras:
		x.index = make(map[string]int, 2*n)
		for i := range x.list {
			x.index[x.list[i].name] = i
		}
	}
}

func (x *extras) find(name string) (at int, known bool) {
	if x.index != nil {
		at, known = x.index[name]
		return at, known
	}
	for i := range x.list {
		if x.list[i].name == name {
			return i, true
		}
	}
	return 0, false
}

// object is the members as a JSON object; nil when there are none.
func (x *extras) object() json.RawMessage {
	if len(x.list) == 0 {
		return nil
	}
	size := 2
	for i := range x.list {
		size += len(x.list[i].key) + len(x.list[i].value) + 2
	}
	dst := append(make([]byte, 0, size), '{')
	for i := range x.list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, x.list[i].key...), ':')
		dst = append(dst, x.list[i].value...)
	}
	return append(dst, '}')
}

// reset empties the members, and keeps their memory.
func (x *extras) reset() { x.list, x.index = x.list[:0], nil }
