package fleet

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// CheckFiles reads the files that the options name. Its error is an *OptionError that
// tells which of them cannot be used. It calls Password too.
func (o *Options) CheckFiles() error {
	for _, file := range []struct{ option, path string }{{"credentials", o.Credentials}, {"nkey", o.NKey}} {
		if file.path == "" {
			continue
		}
		if _, err := readable(file.option, file.path); err != nil {
			return err
		}
	}
	if o.Password != nil {
		if _, err := o.Password(); err != nil {
			return &OptionError{"password", err}
		}
	}
	if o.TLS == nil {
		return nil
	}
	return o.TLS.checkFiles()
}

func (t *TLS) checkFiles() error {
	if t.CA != "" {
		text, err := readable("tls ca", t.CA)
		if err != nil {
			return err
		}
		if !x509.NewCertPool().AppendCertsFromPEM(text) {
			return wrong("tls ca", "%s holds no certificate; use a file of certificates in PEM", t.CA)
		}
	}
	if t.Cert == "" {
		return nil
	}
	cert, err := readable("tls cert", t.Cert)
	if err != nil {
		return err
	}
	key, err := readable("tls key", t.Key)
	if err != nil {
		return err
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		return wrong("tls", "%s and %s cannot be used: %w; use a certificate and its key in PEM", t.Cert, t.Key, err)
	}
	return nil
}

// readable returns what is in a file, which has to be something.
func readable(option, path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err == nil && len(text) == 0 {
		err = fmt.Errorf("%s is empty", path)
	}
	if err != nil {
		return nil, wrong(option, "%w; use the path of a file that Caddy can read", err)
	}
	return text, nil
}
