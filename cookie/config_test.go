package cookie

import (
	"strings"
	"testing"
	"time"
)

func TestConfigDefaults(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		want Config
	}{
		{"zero", Config{}, Config{
			Name: "ajs_anonymous_id", KeeperName: "intilery_keeper", UserName: "ajs_user_id", Dialect: DialectQuoted,
			MaxAge: 365 * day, RenewAfter: day, RestoreAfter: 168 * time.Hour, SameSite: SameSiteLax,
		}},
		{"a short restore_after renews more often", Config{RestoreAfter: 24 * time.Hour}, Config{
			Name: "ajs_anonymous_id", KeeperName: "intilery_keeper", UserName: "ajs_user_id", Dialect: DialectQuoted,
			MaxAge: 365 * day, RenewAfter: 6 * time.Hour, RestoreAfter: 24 * time.Hour, SameSite: SameSiteLax,
		}},
		{"a short max_age restores sooner", Config{MaxAge: 2 * day}, Config{
			Name: "ajs_anonymous_id", KeeperName: "intilery_keeper", UserName: "ajs_user_id", Dialect: DialectQuoted,
			MaxAge: 2 * day, RenewAfter: 12 * time.Hour, RestoreAfter: 2 * day, SameSite: SameSiteLax,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.cfg.WithDefaults(); got != test.want {
				t.Errorf("got %+v\nwant %+v", got, test.want)
			}
			if err := test.cfg.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Every error names the option, the value and what is accepted.
func TestConfigValidate(t *testing.T) {
	tests := []struct {
		cfg  Config
		want []string // nil = accepted
	}{
		{Config{Name: "anonymousId", KeeperName: "_k"}, nil},
		{Config{Name: "k_deferred", KeeperName: "k"}, []string{"keeper_name", `"k"`, "k_deferred"}},
		{Config{Name: "two words"}, []string{"name", `"two words"`, "letters, digits"}},
		{Config{Name: "a;b"}, []string{"name", `"a;b"`, "letters, digits"}},
		{Config{Name: "a=b"}, []string{"name", `"a=b"`, "letters, digits"}},
		{Config{Name: "a\r\nb"}, []string{"name", `"a\r\nb"`, "letters, digits"}},
		{Config{Name: strings.Repeat("n", 65)}, []string{"name", "nnn", "1 to 64"}},
		{Config{Name: "__Host-id"}, []string{"name", `"__Host-id"`, "prefix"}},
		{Config{KeeperName: "__secure-k"}, []string{"keeper_name", `"__secure-k"`, "prefix"}},
		{Config{KeeperName: "ajs_anonymous_id"}, []string{"keeper_name", `"ajs_anonymous_id"`, "other than"}},
		{Config{KeeperName: "k\x00"}, []string{"keeper_name", `"k\x00"`, "letters, digits"}},
		{Config{UserName: "uid"}, nil},
		{Config{UserName: "u;d"}, []string{"user_name", `"u;d"`, "letters, digits"}},
		{Config{UserName: "intilery_keeper"}, []string{"user_name", `"intilery_keeper"`, "other than"}},
		{Config{Dialect: "json"}, []string{"dialect", `"json"`, `"quoted" or "raw"`}},
		{Config{Dialect: DialectRaw}, nil},
		{Config{Pattern: `[a-z]{10}|GA1\..*`}, nil},
		{Config{Pattern: `a)|(b`}, []string{"pattern", `"a)|(b"`, "regular expression", "unexpected )"}},
		{Config{Domain: "example.com"}, nil},
		{Config{Domain: ".Example.COM"}, nil},
		{Config{Domain: "müller.example"}, nil},
		{Config{Domain: "co.uk"}, []string{"domain", `"co.uk"`, "public suffix"}},
		{Config{Domain: "localhost"}, []string{"domain", `"localhost"`, "public suffix"}},
		{Config{Domain: "127.0.0.1"}, []string{"domain", `"127.0.0.1"`, "public suffix"}},
		{Config{Domain: "example.com:8443"}, []string{"domain", `"example.com:8443"`, "public suffix"}},
		{Config{Domain: "example.com; Secure"}, []string{"domain", `"example.com; Secure"`, "public suffix"}},
		{Config{MaxAge: 400 * day}, nil},
		{Config{MaxAge: 401 * day}, []string{"max_age", `"9624h0m0s"`, "9600h"}},
		{Config{MaxAge: time.Minute}, []string{"max_age", `"1m0s"`, "from 1h"}},
		{Config{MaxAge: -day}, []string{"max_age", `"-24h0m0s"`, "from 1h"}},
		{Config{MaxAge: day + time.Millisecond}, []string{"max_age", `"24h0m0.001s"`, "whole seconds"}},
		{Config{RestoreAfter: time.Minute}, []string{"restore_after", `"1m0s"`, "1h to max_age"}},
		{Config{RestoreAfter: 366 * day}, []string{"restore_after", `"8784h0m0s"`, "8760h0m0s"}},
		{Config{RenewAfter: time.Second}, nil},
		{Config{RenewAfter: time.Millisecond}, []string{"renew_after", `"1ms"`, "1s to half"}},
		{Config{RenewAfter: 85 * time.Hour}, []string{"renew_after", `"85h0m0s"`, "84h0m0s"}},
		{Config{SameSite: SameSiteNone}, nil},
		{Config{SameSite: "strict"}, []string{"same_site", `"strict"`, `"lax" or "none"`}},
	}
	for _, test := range tests {
		err := test.cfg.Validate()
		_, jarErr := NewResolver(test.cfg, nil)
		if (err == nil) != (jarErr == nil) {
			t.Errorf("%+v: Validate says %v, NewResolver %v", test.cfg, err, jarErr)
		}
		if test.want == nil {
			if err != nil {
				t.Errorf("%+v: %v", test.cfg, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%+v accepted", test.cfg)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q does not name %q", err, want)
			}
		}
	}
}

func TestReasonsHaveNames(t *testing.T) {
	names := map[string]bool{}
	for i, r := range Reasons() {
		if Reason(i) != r || r.String() == "" || r.String() == "unknown" || names[r.String()] {
			t.Errorf("reason %d is called %q", i, r)
		}
		names[r.String()] = true
	}
	if len(names) != int(HandedOver)+1 || Reason(len(names)).String() != "unknown" {
		t.Errorf("reasons %v are not all", names)
	}
}

func TestValidUserID(t *testing.T) {
	for id, want := range map[string]error{
		"1":                                 nil,
		"user@example.com":                  nil,
		"Ærøskøbing 7":                      nil,
		strings.Repeat("u", MaxUserIDLen):   nil,
		strings.Repeat("u", MaxUserIDLen+1): ErrUserIDTooLong,
		"":                                  ErrUserIDMalformed,
		"a\nb":                              ErrUserIDMalformed,
		"a\x7f":                             ErrUserIDMalformed,
		"a\u0085b":                          ErrUserIDMalformed,
		"\xff":                              ErrUserIDMalformed,
	} {
		if got := ValidUserID(id); got != want {
			t.Errorf("%q: %v, want %v", id, got, want)
		}
	}
}
