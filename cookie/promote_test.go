package cookie

import "testing"

// The response to a tag's own request writes both cookies again, for the ID that
// the browser has, and starts no identity.
func TestPromote(t *testing.T) {
	promote := Response{Settable: true, Promote: true}
	sends := func(id string) func(*Request) { return func(r *Request) { r.TagID = id } }
	agree := brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(user("u1"))}}
	keeperOnly := brought{keeper: []*keeper{kept(seenAgo(8 * day))}}
	for _, test := range []decideTest{
		{"known: both again", Config{}, agree, sends(idA), promote,
			wanted{id: "A", user: "u1", reason: Kept, cookies: "readable A @example.com; keeper A u1 @example.com"}},
		{"an event of another ID changes nothing", Config{}, agree, sends(idB), promote,
			wanted{id: "A", user: "u1", reason: Kept, cookies: "readable A @example.com; keeper A u1 @example.com"}},
		{"no cookies, the tag has an ID: adopted", Config{}, brought{}, sends(idA), promote,
			wanted{id: "A", reason: Adopted, cookies: setBothA}},
		{"no cookies and no ID: none is made", Config{}, brought{}, sends(""), promote,
			wanted{reason: None}},
		{"no cookies and no valid ID: none is made", Config{}, brought{}, sends("x"), promote,
			wanted{reason: None}},
		{"readable gone, the tag has the keeper's ID", Config{}, brought{keeper: []*keeper{kept()}}, sends(idA), promote,
			wanted{id: "A", reason: Kept, cookies: setBothA}},
		{"readable gone, the tag has another ID", Config{}, brought{keeper: []*keeper{kept(user("u1"))}}, sends(idB), promote,
			wanted{id: "B", reason: Diverged, cookies: "readable B @example.com; keeper B @example.com"}},
		{"keeper only mode ignores the tag", Config{KeeperOnly: true}, keeperOnly, sends(idB), promote,
			wanted{id: "A", reason: Kept, cookies: "keeper A @example.com"}},
		{"not settable: nothing is written", Config{}, agree, sends(idA), with(promote, unsettable),
			wanted{id: "A", user: "u1", reason: Kept}},
		{"withheld cookies: nothing is written", Config{}, brought{}, func(r *Request) { r.TagID, r.CrossSite = idA, true }, promote,
			wanted{reason: Withheld}},
		{"consent required and unknown: nothing is touched", Config{}, agree, func(r *Request) { r.ConsentRequired = true }, promote,
			wanted{reason: NoConsent, refused: true}},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newResolver(t, test.cfg)) })
	}
}
