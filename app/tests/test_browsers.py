import pytest

from homeserver_app import browsers

MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X)"
WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
BLINK = "AppleWebKit/537.36 (KHTML, like Gecko)"
CRAWLER = "compatible; Googlebot/2.1; +http://www.google.com/bot.html"


# Filebeat has the same rules; its test uses this table.
TABLE = [
    ("safari", f"{MAC} {WEBKIT} Version/18.5 Safari/605.1.15"),
    ("safari", f"{IPHONE} {WEBKIT} Version/18.5 Mobile/15E148 Safari/604.1"),
    ("chrome", f"{WINDOWS} {BLINK} Chrome/142.0.0.0 Safari/537.36"),
    ("chrome", f"{IPHONE} {WEBKIT} CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1"),
    ("chrome", f"Mozilla/5.0 (Linux; Android 12; CUBOT P50) {BLINK} Chrome/142.0.0.0 Safari/537.36"),
    ("chrome", f"{WINDOWS} {BLINK} Chrome/142.0.0.0 Safari/537.36 OPR/126.0.0.0"),
    ("edge", f"{WINDOWS} {BLINK} Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0"),
    ("edge", f"{WINDOWS} {BLINK} Chrome/64.0.3282.140 Safari/537.36 Edge/18.17763"),
    ("edge", f"Mozilla/5.0 (Linux; Android 10) {BLINK} Chrome/142.0.0.0 Safari/537.36 EdgA/142.0.0.0"),
    ("edge", f"{IPHONE} {WEBKIT} Version/18.0 EdgiOS/142.0 Mobile/15E148 Safari/605.1.15"),
    ("firefox", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
    ("firefox", f"{IPHONE} {WEBKIT} FxiOS/145.0 Mobile/15E148 Safari/605.1.15"),
    ("bot", f"Mozilla/5.0 {BLINK[:-1]}; {CRAWLER}) Chrome/142.0.0.0 Safari/537.36"),
    ("bot", f"{MAC} {WEBKIT} Version/17.4 Safari/605.1.15 (Applebot/0.1)"),
    ("bot", "Mozilla/5.0 (compatible; Baiduspider/2.0)"),
    ("bot", "Mozilla/5.0 (compatible; Nutch/1.20; +https://example.org/crawler)"),
    ("bot", f"Mozilla/5.0 (Linux; Android 11) {BLINK} Chrome/142.0.0.0 Safari/537.36 Chrome-Lighthouse"),
    ("bot", f"Mozilla/5.0 (X11; Linux x86_64) {BLINK} HeadlessChrome/142.0.0.0 Safari/537.36"),
    ("bot", "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"),
    ("bot", "curl/8.14.1"),
    ("bot", "kube-probe/1.35"),
    ("bot", "Blackbox Exporter/0.23.0"),
    ("other", "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko"),
    ("other", "Opera/9.80 (J2ME/MIDP; Opera Mini/9.80; U; en) Presto/2.5.25 Version/10.54"),
    ("other", ""),
    # Made up to confuse the rules.
    ("bot", "Mozilla/5.0 Cubot/bot"),
    ("bot", "Mozilla/5.0 xcubot"),
    ("bot", "CUBOT"),
    ("other", "Mozilla/5.0 cubot"),
    ("bot", "Mozilla/5.0 \u00e9cubot bot"),
    ("other", "Mozilla/5.0 \u00e9cubot"),
    ("other", "Mozilla/5.0 \u017fafari/1"),
    ("safari", "Mozilla/5.0 \u00e9safari/1"),
    ("other", "Mozilla/5.0 xsafari/1"),
    ("chrome", "MOZILLA/5.0 CHROME/1"),
    ("bot", "\u212aMozilla/5.0 Chrome/1"),
    ("bot", " Mozilla/5.0 Chrome/1"),
    ("other", "Mozilla/5.0 Edg Chrome Safari"),
    ("bot", '${jndi:ldap://x} "}'),
    ("bot", "__proto__"),
]


@pytest.mark.parametrize(("family", "user_agent"), TABLE)
def test_the_family_is_distinguished_from_imitations(family: str, user_agent: str) -> None:
    assert browsers.family(user_agent) == family
