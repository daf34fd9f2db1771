package preflight

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// certificateFault says what is wrong with a certificate, or with the handshake, and
// how to fix it.
func certificateFault(err error) (text, fix string) {
	var invalid x509.CertificateInvalidError
	var names x509.HostnameError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore):
		return fmt.Sprintf("the certificate is valid from %s only", invalid.Cert.NotBefore.UTC().Format(time.RFC3339)),
			"check this machine's clock"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("the certificate ended on %s, issued by %s", invalid.Cert.NotAfter.UTC().Format(time.RFC3339), issuer(invalid.Cert)),
			"have it renewed; if it is Intilery's own, check this machine's clock"
	case errors.As(err, &names):
		return "the certificate is for " + strings.Join(names.Certificate.DNSNames, ", "), "correct the host in endpoint"
	case errors.As(err, &unknown) && unknown.Cert != nil:
		return fmt.Sprintf("the certificate is of an authority that this machine does not know, issued by %s", issuer(unknown.Cert)),
			"install the system's CA certificates, and that of a proxy on the way that opens TLS"
	default:
		return err.Error(), "check that endpoint speaks TLS, and what opens or filters connections on the way"
	}
}

// issuer names who issued a certificate.
func issuer(cert *x509.Certificate) string {
	name := cert.Issuer
	text := strings.Join(append(name.Organization, name.CommonName), " ")
	if text = strings.TrimSpace(text); text == "" {
		return "nobody in particular"
	}
	return text
}
