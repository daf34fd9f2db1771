package navigation

import "testing"

// Each library's own request, from a browser without Fetch Metadata, is a fetch,
// and so is one that carries the header without a value.
func TestFetchLibraries(t *testing.T) {
	const turbo = "text/html, application/xhtml+xml"
	for _, tt := range []struct {
		name string
		h    headers
		want bool // it is a navigation
	}{
		{"none", nil, true},
		{"Internet Explorer", headers{"Accept": "text/html, application/xhtml+xml, */*"}, true},
		{"htmx", headers{"HX-Request": "true"}, false},
		{"htmx, boosted", headers{"HX-Request": "true", "HX-Boosted": "true"}, false},
		{"Turbo frame", headers{"Turbo-Frame": "cart", "Accept": turbo}, false},
		{"Turbo Drive 8", headers{"X-Turbo-Request-Id": "4f5d1d7c", "Accept": turbo}, false},
		{"Turbo Drive 7", headers{"Accept": turbo}, false},
		{"Turbo streams", headers{"Accept": "text/vnd.turbo-stream.html, " + turbo}, false},
		{"Turbolinks", headers{"Accept": turbo, "Turbolinks-Referrer": "https://shop.example.com/"}, false},
		{"pjax", headers{"X-PJAX": "true"}, false},
		{"Inertia", headers{"X-Inertia": "true"}, false},
		{"Unpoly", headers{"X-Up-Version": "3.14.3"}, false},
		{"Livewire", headers{"X-Livewire": ""}, false},
		{"Livewire navigate", headers{"X-Livewire-Navigate": ""}, false},
		{"Alpine AJAX", headers{"X-Alpine-Request": "true"}, false},
		{"Barba", headers{"X-Barba": "yes", "Accept": "text/html,application/xhtml+xml,application/xml"}, false},
		{"Splade", headers{"X-Splade": "true"}, false},
		{"fixi", headers{"FX-Request": "true"}, false},
		{"Datastar", headers{"Datastar-Request": "true"}, false},
		{"SPF", headers{"X-SPF-Request": "navigate"}, false},
		{"Next.js", headers{"RSC": "1"}, false},
		{"Next.js, pages", headers{"X-Nextjs-Data": "1"}, false},
		{"Blazor", headers{"Accept": "text/html; blazor-enhanced-nav=on"}, false},
		{"swup", headers{"X-Requested-With": "swup"}, false},
		{"jQuery", headers{"X-Requested-With": "XMLHttpRequest"}, false},
		{"jQuery in a WebView", headers{"X-Requested-With": "com.example.app, XMLHttpRequest"}, false},
		{"a WebView", headers{"X-Requested-With": "com.example.app"}, true},
		{"a WebView of an app of that name", headers{"X-Requested-With": "com.example.XMLHttpRequest"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, base := range []headers{plain, byWorker} {
				f := Of(request("GET", "https://shop.example.com/", base.with(tt.h)), "shop.example.com", true, nil)
				if f.Navigation != tt.want || f.Document != tt.want {
					t.Errorf("navigation %v, document %v, want %v", f.Navigation, f.Document, tt.want)
				}
			}
		})
	}
}

// A header that is no browser's on a document says nothing about it.
func TestFetchLibrariesOnDocuments(t *testing.T) {
	if !Of(request("GET", "/", navigate.with(headers{"Turbo-Frame": "cart"})), "shop.example.com", true, nil).Document {
		t.Error("Sec-Fetch-Dest: document does not decide")
	}
}

func TestFetchHeadersAreCanonical(t *testing.T) {
	lists := [][]string{fetchHeaders[:], purposeHeaders[:], speculativeHeaders[:], {templatesInclude}}
	for _, list := range lists {
		for _, name := range list {
			if r := request("GET", "/", headers{name: "x"}); r.Header[name] == nil {
				t.Errorf("%q is not canonical", name)
			}
		}
	}
}
