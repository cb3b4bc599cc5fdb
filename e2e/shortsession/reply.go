package shortsession

import (
	"bytes"
	"encoding/xml"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// remember stores the session in a successful response, to sign with it later.
func (p *Proxy) remember(action string, body []byte) {
	session, err := credentialsIn(body)
	if err != nil {
		return // not a response with a session
	}
	p.sessions.Store(session.AccessKeyID, session)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handed[action]++
}

// credentialsIn returns the Credentials element of a response to any action.
func credentialsIn(body []byte) (aws.Credentials, error) {
	decoder := xml.NewDecoder(bytes.NewReader(body))
	for {
		token, err := decoder.Token()
		if err != nil {
			return aws.Credentials{}, err
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "Credentials" {
			continue
		}
		var c struct {
			AccessKeyID     string `xml:"AccessKeyId"`
			SecretAccessKey string
			SessionToken    string
		}
		if err := decoder.DecodeElement(&c, &start); err != nil {
			return aws.Credentials{}, err
		}
		if c.AccessKeyID == "" || c.SecretAccessKey == "" {
			return aws.Credentials{}, errors.New("shortsession: credentials without keys")
		}
		return aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}, nil
	}
}
