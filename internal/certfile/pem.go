package certfile

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// errCutOff is of files that are being written, too.
var errCutOff = errors.New("a PEM block in it is damaged or cut off")

// pemBlocks returns the blocks of a text. [pem.Decode] passes over those that it cannot read,
// such as the last one of a file that is half written: what such a block holds, like the
// revocations of one authority, would silently not count.
func pemBlocks(text []byte) (blocks []*pem.Block, err error) {
	rest := text
	for {
		block, after := pem.Decode(rest)
		if block == nil {
			break
		}
		blocks, rest = append(blocks, block), after
	}
	begun := 0
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, pemBegin) {
			begun++
		}
	}
	lastLine := rest[bytes.LastIndexByte(rest, '\n')+1:]
	if begun != len(blocks) || len(lastLine) > 0 && bytes.HasPrefix(pemBegin, lastLine) {
		return nil, errCutOff
	}
	return blocks, nil
}

var pemBegin = []byte("-----BEGIN ")

// Certificates returns those of a PEM text. Each has to be whole.
func Certificates(text []byte) (all []*x509.Certificate, err error) {
	blocks, err := pemBlocks(text)
	if err != nil {
		return nil, err
	}
	for _, block := range blocks {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("it holds no certificate")
	}
	return all, nil
}

// Pool is of the certificates of a PEM text.
func Pool(text []byte) (*x509.CertPool, error) {
	all, err := Certificates(text)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range all {
		pool.AddCert(c)
	}
	return pool, nil
}
