package navigation

import (
	"strings"
	"testing"
)

// humans have devices, apps and browsers that are named like bots.
var humans = []string{
	"",
	chrome, firefox, webview,
	"Mozilla/5.0 (Linux; Android 7.0; M bot 54) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/78.0.3904.96 Mobile Safari/537.36",
	"Mozilla/5.0 (Linux; Android 7.0; ID bot 53+ Build/NRD90M) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/55.0.2883.91 Mobile Safari/537.36",
	"Mozilla/5.0 (Linux; Android 7.0; C Bot Tab 100) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/74.0.3729.157 Safari/537.36",
	"Mozilla/5.0 (Linux; Android 8.1.0; XBot_Senior) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/87.0.4280.101 Mobile Safari/537.36",
	"Mozilla/5.0 (Linux; Android 8.1.0; XBot Senior) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/87.0.4280.101 Mobile Safari/537.36",
	"Mozilla/5.0 (Linux; Android 13; Spider 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
	"mozilla/5.0 (linux; android 6.0; cubot echo) applewebkit/537.36 (khtml, like gecko) chrome/70.0.3538.80 mobile safari/537.36",
	"Mozilla/5.0 (Linux; Android 6.0; CUBOT MAX Build/MRA58K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/51.0.2704.81 Mobile Safari/537.36",
	"Mozilla/5.0 (Linux; Android 9; moto g(7) power (2019; Cubot) Build/P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/74.0 Mobile Safari/537.36",
	"Mozilla/5.0 (Linux; Android 5.1; S550 Pro Build/LMY47D; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/74.0 Mobile Safari/537.36 Instagram 94.0.0.22.116 Android (22/5.1; 320dpi; Cubot; S550 Pro; mt6735)",
	"Mozilla/5.0 (Linux; Android 9; X20 Build/P; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/101.0 Mobile Safari/537.36 [FBAN/FB4A;FBMF/Cubot;FBDV/Spider;FBCR/Telekom.com;]",
	"UCWEB/2.0 (MIDP-2.0; U; Adr 4.4.2; en-US; Cubot_S208) U2/1.0.0 UCBrowser/10.7.6.805 U2/1.0.0 Mobile",
	"CUBOT_P9 Linux/3.4.5 Android/4.4.2 Release/12.03.2013 Browser/AppleWebKit537.36 Mobile Safari/537.36",
	"HbbTV/1.1.1 (;BOTECH;BT-1001;V2.2;;) Opera/9.80 (Linux; U; HbbTV/1.1.1) Presto/2.10.287 Version/12.00",
	"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; htc_botdugls) Opera 9.50",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Banca Caboto/3.2",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 PriceChecker/2.1",
	"Mozilla/5.0 (Linux; Android 13; 2201116SI Build/TKQ1; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/125.0 Mobile Safari/537.36 CamScanner/4.5.0",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1 (Ecosia ios@9.2.3.1367)",
	"Mozilla/5.0 (Linux; Android 11; FP4) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/101.0 Mobile Safari/537.36 com.example.net.app",
	"Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1; TuneUp HTML Client Embedded Web Browser from: http://bsalsa.com/; .NET CLR 1.1.4322)",
	"Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.1; WOW64; Trident/6.0)",
	"Mozilla/5.0 (compatible; Konqueror/4.3; Linux) KHTML/4.3.4 (like Gecko)",
	"Mozilla/5.0 (compatible; U; ABrowse 0.6; Syllable) AppleWebKit/420+ (KHTML, like Gecko)",
	"Mozilla/4.0 (compatible; Linux 2.6.22) NetFront/3.4 Kindle/2.0 (screen 600x800)",
	"Mozilla/5.0 (compatible; IBrowse 3.0; AmigaOS4.0)",
	"Amazon.com/24.12.6.100 (Android/10/JNY-LX1)",
	"Mozilla/5.0+(Windows+NT+10.0;+Win64;+x64)+AppleWebKit/537.36+(KHTML,+like+Gecko)+Chrome/83.0.4103.61+Safari/537.36",
	"WhatsApp/2.17.427 Android/7.0 Device/motorola-Moto_C_Plus",

	// A site's own clients and tests.
	"curl/8.5.0", "Wget/1.21", "python-requests/2.31.0", "okhttp/4.12.0", "Go-http-client/2.0", "node-fetch/1.0", "axios/1.6.0",
	strings.Replace(chrome, "Chrome/", "HeadlessChrome/", 1),
	chrome + " Cypress/13.0", chrome + " Playwright/1.40.0",
}

// bots say what they are.
var bots = []string{
	"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
	"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/118.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
	"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/118.0 Mobile Safari/537.36 (compatible; Google-InspectionTool/1.0)",
	"Mozilla/5.0 (Linux; Android 8.0; Pixel 2 Build/OPD3; Storebot-Google/1.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/81.0 Mobile Safari/537.36",
	"GoogleOther", "Mozilla/5.0 (compatible; GoogleOther-Image/1.0)",
	"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko; Google Web Preview) Chrome/27.0.1453 Safari/537.36",
	"Mozilla/5.0 (Linux; U; Android 2.3.4; generic) AppleWebKit/537.36 (KHTML, like Gecko; Google Web Preview) Version/4.0 Mobile Safari/537.36",
	"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
	"Mozilla/5.0 (compatible; Baiduspider-render/2.0; +http://www.baidu.com/search/spider.html)",
	"facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "facebookexternalhit/1.1",
	"WhatsApp/2.19.175 A", "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5", "MicrosoftPreview/2.0",
	"Mozilla/5.0 (X11; Ubuntu; Linux) Gecko/20100101 Firefox/28.0 (FlipboardProxy/1.2)", "Mozilla/5.0 (vkShare; +http://vk.com/dev/Share)",
	"Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/83.0 Safari/537.36 (Dotcom-Monitor)",
	"Site24x7", firefox + " site24x7", chrome + " DatadogSynthetics", "Datadog/Synthetics", "Datadog Synthetic",
	chrome + " PTST/211202.211915", "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.1; Trident/6.0) LinkCheck by Siteimprove.com",
	"Mozilla/5.0 (compatible; Cloudflare-Healthchecks/1.0; +https://www.cloudflare.com/; healthcheck-id: 1)", "Cloudflare-Healthchecks/1.0",
	"Claude-User/1.0", "Perplexity-User/1.0", "Mozilla/5.0 (X11; Linux x86_64) Prerender",
	"Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)", "ExampleBot;", "bot", "some_bot", "Examplebots/2", "Example-Crawler",
	"Uptime-Kuma/1.23.16", "Pingdom.com_bot_version_1.4", "RuxitSynthetic/1.0",
	"Embedly +support@embed.ly", "MetaURI API/2.0 +metauri.com", "Example/1.0 (+www.example.com)", "Example ( + https://example.com)",
	"Example/1.0 (https://example.com/about)", "Traackr.com", "ichiro/2.0 (ichiro@nttr.co.jp)",
	"Mozilla/5.0 (compatible; adscanner/)", "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Example/1.2) Chrome/124.0 Safari/537.36",
}

func TestUserAgents(t *testing.T) {
	for _, agent := range humans {
		if got := builtin.marks.rule(agent); got != "" {
			t.Errorf("a human by rule %q: %s", got, agent)
		}
	}
	for _, agent := range bots {
		if got := builtin.marks.rule(agent); got == "" {
			t.Errorf("no bot: %s", agent)
		}
	}
}

// Words count by their bounds and their case.
func TestWords(t *testing.T) {
	for agent, want := range map[string]Rule{
		"Example Bot/1.0": RuleWord, "Examplebot": RuleWord, "bot;": RuleWord, "(bot)": RuleWord, "Bot-1": RuleWord, "bot_1": RuleWord,
		"Botanic/1.0": "", "bottle": "", "sabot2": "", "BOT/1.0": "", "Example/bo": "", "é_bot": RuleWord,
		"Crawlspace/1.0": "", "Spiderman/1.0": "", "spider": RuleWord,
		"scan/1.0": RuleWord, "xscan/1.0": "",
		"Lighthouse": RuleName, "Lighthouses": "", "XLighthouse": "",
		"Web Preview": RuleName, "Web  Preview/2": RuleName, "Dotcom-Monitor (Android)": RuleName,
		"Dotcom; Monitor (Android)": "", "Dotcom 2 Monitor (Android)": "",
		"a@b.c": RuleEmail, "a@b": "", "@b.c": "", "a @b.c": "", "a@1.c": "", "a@b.1": "", "a@b-1.co.jp": RuleEmail, "a@-b.c": "",
		"http:": RuleURL, "http": "", "https://": RuleURL, "xhttp://": "", "www.": "", "+www.": RuleURL,
		"a.com": RuleURL, "com.example": "", "com.example.net": "", "www.example.org": "", ".net": "", "x-co": "", "a.com.example": "", "a.com-x": "", "a.com_x": "",
		"compatible": "", "compatible;": "", "(compatible; x": RuleCompatible, "(compatible; x) (Windows)": RuleCompatible,
		"(compatible; x; Windows)": "", "(incompatible; x)": "", "(compatible; Konqueror/4.5; FreeBSD)": "", "(x, compatible)": "",
		"(Linux; Android 9; Examplebot)": "", "(Linux; Android 9) Examplebot": RuleWord,
		"Android (Examplebot)": "", "Android Example (Examplebot)": RuleWord,
		"Examplebot [Examplebot]": RuleWord, "[Examplebot]": "", "[a.com]": "", "[a] a.com": RuleURL,
		"(iPhone) https://a.example": "", "(iPhone) (+https://a.example)": RuleURL, "(iPhone) (+ https://a.example)": RuleURL,
		"(iPhone) +x; https://a.example": "", "(iPhone) LinkChecker": "",
	} {
		if got := builtin.marks.rule(agent); got != want {
			t.Errorf("%q: rule %q, want %q", agent, got, want)
		}
	}
}

func TestChromeVersion(t *testing.T) {
	for agent, want := range map[string]int{
		chrome: 143, "": 0, "Chrome/": 0, "Chrome/x": 0, "Chrome/99999999999999999999": 9999, "HeadlessChrome/90": 90,
	} {
		if got := chromeVersion(agent); got != want {
			t.Errorf("%.40q: got %d, want %d", agent, got, want)
		}
	}
}
