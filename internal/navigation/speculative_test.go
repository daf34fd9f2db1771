package navigation

import "testing"

func TestSpeculative(t *testing.T) {
	for _, tt := range []struct {
		name, header, value string
		want                bool
	}{
		{"prefetch", "Sec-Purpose", "prefetch", true},
		{"prefetch through a proxy", "Sec-Purpose", "prefetch;anonymous-client-ip", true},
		{"prerender", "Sec-Purpose", "prefetch;prerender", true},
		{"Chromium's link preview", "Sec-Purpose", "prefetch;prerender;preview", true},
		{"another order", "Sec-Purpose", "other, prerender ; x=1", true},
		{"upper case", "Sec-Purpose", "Prefetch", true},
		{"a purpose that only begins so", "Sec-Purpose", "present", false},
		{"a purpose that only ends so", "Sec-Purpose", "no-prefetch", false},
		{"a parameter's value", "Sec-Purpose", "x=prefetch", false},
		{"separators", "Sec-Purpose", ";, ;", false},
		{"Turbo", "X-Sec-Purpose", "prefetch", true},
		{"older Chromium, Inertia", "Purpose", "prefetch", true},
		{"Safari's top sites", "X-Purpose", "preview", true},
		{"Chromium's instant", "X-Purpose", "instant", true},
		{"older Firefox", "X-Moz", "prefetch", true},
		{"Firefox's live bookmarks", "X-Moz", "livebookmarks", false},
		{"Firefox's link preview", "X-Firefox-AI", "1", true},
		{"not by Firefox", "X-Firefox-AI", "0", false},
		{"htmx preload", "HX-Preloaded", "true", true},
		{"Next.js", "Next-Router-Prefetch", "1", true},
		{"Next.js, pages", "X-Middleware-Prefetch", "1", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request("GET", "/", navigate.with(headers{tt.header: tt.value}))
			f := Of(r, "shop.example.com", true, nil)
			if f.Speculative != tt.want {
				t.Errorf("speculative %v, want %v", f.Speculative, tt.want)
			}
			if f.Document == tt.want {
				t.Errorf("document %v", f.Document)
			}
		})
	}
}
