package eventcontext

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

func TestCampaign(t *testing.T) {
	for _, c := range []struct {
		name, query string
		want        []event.Param
	}{
		{"none", "a=1&b=utm_source", nil},
		{"name", "utm_campaign=Black%20Friday", []event.Param{{Key: "name", Value: "Black Friday"}}},
		{"several", "a=1&utm_source=news+letter&utm_id=7", []event.Param{{Key: "source", Value: "news letter"}, {Key: "id", Value: "7"}}},
		{"twins", "utm_source=first&utm_source=second", []event.Param{{Key: "source", Value: "first"}}},
		{"two names", "utm_name=a&utm_campaign=b", []event.Param{{Key: "name", Value: "a"}}},
		{"no name and no value", "utm_=x&utm_term=&utm_content&utm_source=a", []event.Param{{Key: "source", Value: "a"}}},
		{"encoded name", "utm%5Fmedium=a&utm_source=b", []event.Param{{Key: "medium", Value: "a"}, {Key: "source", Value: "b"}}},
		{"malformed escape", "utm_source=50%+off", []event.Param{{Key: "source", Value: "50%+off"}}},
		{"not UTF-8", "utm_source=%FFa", []event.Param{{Key: "source", Value: "\uFFFDa"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Campaign(c.query)
			if len(got) == 0 {
				got = nil
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCampaignIsBounded(t *testing.T) {
	var many, long strings.Builder
	for i := range 2 * event.MaxCampaign {
		fmt.Fprintf(&many, "&utm_%d=x", i)
		fmt.Fprintf(&long, "&utm_%d=%s", i, strings.Repeat("%C3%A9", 300))
	}
	if got := Campaign(many.String()); len(got) != event.MaxCampaign {
		t.Errorf("%d parameters", len(got))
	}
	bytes := 0
	for _, p := range Campaign(long.String()) {
		bytes += len(p.Key) + len(p.Value)
	}
	if bytes > MaxText || bytes < MaxText-10 {
		t.Errorf("%d bytes together", bytes)
	}
}
