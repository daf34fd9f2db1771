package redact

import (
	"strings"
	"testing"
)

// newRules fails the test when New does.
func newRules(t testing.TB, parameters, paths []string) *Rules {
	t.Helper()
	r, err := New(parameters, paths)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		name              string
		parameters, paths []string
		want              string // in the error
	}{
		{"empty parameter", []string{"ok", " "}, nil, `redact: " " is not accepted; use names of query parameters`},
		{"two parameters in one", []string{"a&b"}, nil, `redact: "a&b" is not accepted`},
		{"parameter with a value", []string{"a=b"}, nil, `redact: "a=b" is not accepted`},
		{"parameter with a control character", []string{"a\x00"}, nil, `redact: "a\x00" is not accepted`},
		{"long parameter", []string{strings.Repeat("x", maxName+1)}, nil, "up to 100 bytes"},
		{"empty expression", nil, []string{""}, `redact_path: "" is not accepted; use a regular expression of 1 to 1000 bytes`},
		{"broken expression", nil, []string{"a", "("}, `redact_path: "(" is not accepted; use a regular expression in RE2 syntax: `},
		{"expression that is not RE2", nil, []string{"(?=a)"}, "RE2 syntax"},
		{"long expression", nil, []string{strings.Repeat("x", maxExpression+1)}, "1 to 1000 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := New(c.parameters, c.paths)
			if err == nil {
				t.Fatal("no error")
			}
			if r != nil {
				t.Error("rules beside an error")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q in it", err, c.want)
			}
		})
	}
}

func TestZeroRules(t *testing.T) {
	var r Rules
	if got := r.Query("a=1&token=5"); got != "a=1" {
		t.Errorf("got %q", got)
	}
}

func TestNames(t *testing.T) {
	secret := strings.Fields(`
		token code key nonce password secret signature credential auth authorization pass passwd pwd session session_id
		sessionid sid sig hmac hash_signature api_key apikey jwt otp ticket assertion saml_response SAMLResponse state
		TOKEN Token reset_password_token X-Amz-Signature X-Amz-Credential client_secret access-token id_token_hint
		oobCode reset_code activation_key _wpnonce apiKey order_key resetToken csrfmiddlewaretoken _csrf PHPSESSID
		postcode zipcode discount_code country_code promo-code lang_code
		email e-mail e_mail mail user_email userEmail email_address emailaddress email[] ajs_trait_email
		password1 password_2 token_ __session token+
		user[password] user[password][] password[first] form[plainPassword][first] user.password password.first user.sid token[0]
		intilery_handoff`)
	kept := strings.Fields(`
		a q page tokens codes keyword nonces keys X-Amz-Date passage authors sidebar stateful signatures
		utm_source utm_medium utm_campaign utm_term utm_content utm_id utm_promo_code utm_key
		user[name] filter[tokens] tokens.x encoded keys[0] email_sent gclid fbclid mc_eid`)
	r := newRules(t, nil, nil)
	for _, name := range secret {
		if query := name + "=x"; r.Query(query) != "" {
			t.Errorf("%s is kept, and is a secret", name)
		}
	}
	for _, name := range kept {
		if query := name + "=x"; r.Query(query) != query {
			t.Errorf("%s is removed, and is no secret", name)
		}
		if r.Query(name) != name {
			t.Errorf("%s without a value is removed", name)
		}
	}
	if got := r.Query("token"); got != "token" {
		t.Errorf("a name without a value became %q", got)
	}
}

func TestExtraNames(t *testing.T) {
	r := newRules(t, []string{"Order-Ref", "order[ref]", "utm_term", "step2", " padded "}, nil)
	for query, want := range map[string]string{
		"order-ref=7&order_ref=8&ORDER_REF=9&q=1": "q=1",
		"order%5Bref%5D=7&order[ref]=8&q=1":       "q=1",
		"ref=1&my_order_ref=2":                    "ref=1&my_order_ref=2",
		"utm_term=a&utm_source=b":                 "utm_source=b",
		"step=1&step2=2":                          "step=1",
		"x[order_ref]=7&order_ref[]=1":            "",
		"padded=1":                                "",
	} {
		if got := r.Query(query); got != want {
			t.Errorf("Query(%q) = %q, want %q", query, got, want)
		}
	}
}
