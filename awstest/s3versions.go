package awstest

import (
	"encoding/xml"
	"net/http"
)

// Versioning of a bucket.

// getBucketVersioning handles GetBucketVersioning.
func getBucketVersioning(s *s3Request) (*response, *refusal) {
	if refused := s.authorize("s3:GetBucketVersioning"); refused != nil {
		return nil, refused
	}
	var x s3XML
	x.open("VersioningConfiguration")
	if s.settings.versioning != "" {
		x.element("Status", s.settings.versioning)
	}
	x.close("VersioningConfiguration")
	return x.response(), nil
}

// putBucketVersioning handles PutBucketVersioning.
func putBucketVersioning(s *s3Request) (*response, *refusal) {
	if refused := s.authorize("s3:PutBucketVersioning"); refused != nil {
		return nil, refused
	}
	var wanted struct {
		XMLName   xml.Name `xml:"VersioningConfiguration"`
		Status    *string
		MfaDelete *string
	}
	if _, refused := verifyChecksum(s); refused != nil {
		return nil, refused
	}
	if refused := verifyMD5(s); refused != nil {
		return nil, refused
	}
	if refused := readXML(s, maxConfiguration, &wanted); refused != nil {
		return nil, refused
	}
	switch {
	case wanted.MfaDelete != nil && *wanted.MfaDelete != "Disabled":
		return nil, refuse(501, "NotImplemented", "awstest does not implement MfaDelete")
	case wanted.Status == nil:
		return nil, refuse(400, "IllegalVersioningConfigurationException", "The Versioning element must be specified")
	case *wanted.Status != versioningEnabled && *wanted.Status != versioningSuspended:
		return nil, malformedXML()
	}
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.of.versioning = *wanted.Status
	return &response{status: 200, header: http.Header{}}, nil
}

// maxConfiguration is the size, in bytes, that the document of a bucket's setting
// may have here.
const maxConfiguration = 64 << 10
