package navigation

import "strings"

// botNames are names of crawlers, monitors and previews that no other rule
// recognizes in all their forms. A name is one word or two, in lower case;
// between its words a User-Agent may have a space, hyphen, dot, slash or
// underscore.
//
// They are those of the public lists that e2e/bots/run.sh measures with, but for
// HTTP libraries and headless browsers, which a site's own clients and tests use,
// for apps in which people read pages, and for names that are common words.
var botNames = []string{
	// Search engines and what they show.
	"apple pubsub", "bingpreview", "coccoc", "daumoa", "duplexweb", "feedfetcher", "gigablastopensource",
	"globalwebsearchx", "google ads", "google adstxt", "google adwords", "google assess",
	"google businesslinkverification", "google certificates", "google cloud", "google extended",
	"google notebooklm", "google physicalweb", "google pinpoint", "google publisher", "google safety",
	"google sites", "google speakr", "google transparency", "google trust", "google xrawler",
	"googleadsenseinfeed", "googleassociationservice", "googleother", "googleprober", "googlesites",
	"ia archiver", "inspectiontool", "internetsearchx", "linkexpander", "magicsearchdev", "marginalia",
	"mediapartners", "mixnode", "mnogosearch", "owler", "page speed", "pagespeed", "playstore google",
	"researchscan", "search console", "searcherweb", "searcherxweb", "searchexpress", "slurp", "storebot google",
	"theinternetsearchx", "web preview", "wesee",

	// Artificial intelligence: training, search, and what a user asks for.
	"amzn user", "anthropic", "chatgpt user", "claude code", "claude user", "claude web", "cohere ai", "crawl4ai",
	"knowledge ai", "manus user", "mistralai user", "newsai", "perplexity user", "spawning ai",

	// Previews of links.
	"disqus", "embedly", "externalads", "externalagent", "externalfetcher", "facebookcatalog",
	"facebookexternalhit", "facebookexternalua", "flipboardproxy", "forum onebox", "linkpreview",
	"microsoftpreview", "nuzzel", "skypeuripreview", "steamchaturllookup", "viberurldownloader", "vkshare",

	// Monitors and tests of speed.
	"adminlabs", "appinsights", "applicationhealthservice", "bbtest", "blackbox exporter", "browsershots",
	"catchpoint", "cloudflare custom", "cloudflare diagnostics", "cloudflare speedtest", "cloudflarediagnostics",
	"cloudflareobservatory", "collectd", "dareboost", "datadog", "datadogsynthetics", "dejaclick",
	"dotcom monitor", "fontradar", "functionize", "gomezagent", "gtmetrix", "health check", "healthchecker",
	"healthchecks", "hexometer", "iplabel", "keycdn", "kube probe", "lighthouse", "monit", "munin", "nagios",
	"netvigie", "nitro optimizer", "nodeping", "panopta", "pingdom", "pingdomtms", "prerender", "prometheus",
	"ptst", "rigor", "route53", "silktide", "site24x7", "siteimprove", "statuscake", "syntheticsagent",
	"thousandeyes", "uptrends", "webmon", "xymonnet", "ylt", "zabbix",

	// Feeds.
	"blogtrottr", "duration lookup", "fedoraplanet", "feedburner", "feedflow", "feedreader", "librss",
	"monitorss", "newsblur feed", "nextcloud news", "openrss", "rss junkie", "sffeedreader",

	// Marketing, content and archives.
	"adbeat", "agakidsbot", "algoliarecommend", "amazon kendra", "archive it", "archive org", "archivebox",
	"bdfetch", "bidtellect", "biglotron", "botpoke", "brandverity", "brandwatch", "collapsify", "contentscan",
	"corporama", "criticalcss", "cyotekwebcopy", "datafeedwatch", "datanyze", "dmbrowser", "ds9", "ec2linkfinder",
	"emailwolf", "funnelback", "geedoshopproductfinder", "hatena", "headonlyscraperv2", "hotjar", "imagemind",
	"interascoagent", "ips agent", "kaikki", "linkchain", "linktiger", "marketgoo", "morningscore", "netlyzer",
	"newsgathering", "nutch", "outbrain", "penthouse critical", "pocketimagecache", "prittorrent",
	"pwabuilderhttpagent", "robozilla", "safeassign", "scrapy", "semantic visions", "seobility", "sindup",
	"sitesucker", "sixy ch", "sprinklr", "tineye", "turingos", "urlcheckr", "web archiving", "webcapture",
	"webcollage", "webcopier", "websitemetadataretriever", "wordup", "wordupinfosearch",
	"xaxissemanticsclassifier", "xenu", "zoterotranslationserver",

	// Consent and compliance.
	"cookiehubscan", "cookiehubverify", "iubenda", "legalmonster", "monsido", "onetrust", "sqwatcher", "termly",

	// Validators and security scanners.
	"acunetix", "arachni", "asnriskscorer", "assetnote", "bitdiscovery", "blackduck", "burpcollaborator",
	"certificate info", "checklink", "clamav", "comodo dcv", "cybaaagent", "digicert", "dnsscanner", "exractor",
	"fastdast", "foregenix", "fuzz faster", "gobuster", "hardenize", "jorgee", "keydrop", "l9explore", "l9tcpid",
	"masscan", "mobileok", "nibbler", "nikto", "nvd0rz", "nvdorz", "onlyscans", "openvas", "perimeterx",
	"riskscorer", "scamadviserexternalhit", "sectigo", "securityheaders", "shodan", "sitelock", "ssl labs",
	"twinwavescanner", "w3c unicorn", "watchtowr", "webpurify", "whatcms", "whatweb", "xmco", "xtate", "zgrab",
	"zmeu",

	// Services that call a site.
	"appsiteassociation", "bit ly", "braze sender", "captain hook", "cf uc", "easybill", "fastmailua",
	"github camo", "hydra proxy", "ifttt", "imageproxy", "imgproxy", "integromat", "invision community", "jumio",
	"klaviyo", "logic apps", "m2e pro", "managewp", "mediahubmx", "metorik", "modularconnector", "nginx ssl",
	"omnisend", "prefetch proxy", "rb gy", "sendgrid", "seznamemailproxy", "snipcart", "sparkpost",
	"sparkshipping", "steam http", "stream hook", "thumbor", "vaultpress", "webflow", "wpumbrella",
	"yahoocachesystem", "zapier", "zoom marketplace",
}

type nameKind uint8

const (
	isName     nameKind = 1 << iota
	beginsName          // the first of two words
)

// maxNameWord bounds a word that can be part of a name.
const maxNameWord = 32

var builtinNames = newNames(botNames)

func newNames(names []string) map[string]nameKind {
	m := make(map[string]nameKind, len(names))
	for _, name := range names {
		m[name] |= isName
		if first, _, two := strings.Cut(name, " "); two {
			m[first] |= beginsName
		}
	}
	return m
}
