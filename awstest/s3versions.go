package awstest

import (
	"encoding/xml"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Versioning of a bucket, and ListObjectVersions.

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

// versionPage is one page of ListObjectVersions.
type versionPage struct {
	listing
	afterVersion string // go on after this version of the key page.after; empty: after the key

	versions []listedVersion
}

// listedVersion is a version, or the common prefix of several keys.
type listedVersion struct {
	name   string
	object *version // nil: name is a common prefix
	latest bool
}

// listVersions handles ListObjectVersions.
func listVersions(s *s3Request) (*response, *refusal) {
	if refused := s.authorize("s3:ListBucketVersions"); refused != nil {
		return nil, refused
	}
	common, encode, refused := readListing(s)
	if refused != nil {
		return nil, refused
	}
	page := &versionPage{listing: *common, afterVersion: s.query.Get("version-id-marker")}
	page.after = s.query.Get("key-marker")
	switch {
	case !s.query.Has("version-id-marker"):
	case page.after == "":
		return nil, badArgument("A version-id marker cannot be specified without a key marker.", "version-id-marker", page.afterVersion)
	case page.afterVersion == "":
		return nil, badArgument("A version-id marker cannot be empty.", "version-id-marker", "")
	case !validVersionID(page.afterVersion):
		return nil, badArgument("Invalid version id specified", "version-id-marker", page.afterVersion)
	}
	page.fill(s.of)
	resp := page.response(s, encode)
	if s.charged() {
		resp.header.Set("X-Amz-Request-Charged", "requester")
	}
	return resp, nil
}

// fill lists the bucket's versions: by key, the newest first.
func (page *versionPage) fill(b *Bucket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	keys := b.sortedKeys()
	keys = keys[sort.SearchStrings(keys, max(page.prefix, page.after)):]
	for len(keys) > 0 && strings.HasPrefix(keys[0], page.prefix) {
		key := keys[0]
		if i := strings.Index(key[len(page.prefix):], page.delimiter); page.delimiter != "" && i >= 0 {
			name := key[:len(page.prefix)+i+len(page.delimiter)]
			if name != page.after && !page.add(listedVersion{name: name}) {
				return
			}
			keys = keys[beginWith(keys, name):]
			continue
		}
		passed := key != page.after // of the key to go on after, the versions up to the marker
		for i, v := range slices.Backward(b.objects[key]) {
			if passed && !page.add(listedVersion{name: key, object: v, latest: i == len(b.objects[key])-1}) {
				return
			}
			passed = passed || page.afterVersion == v.shownID()
		}
		keys = keys[1:]
	}
}

// add adds an entry, or reports false if the page is full.
func (page *versionPage) add(v listedVersion) bool {
	if len(page.versions) == page.max {
		page.truncated = page.max > 0
		return false
	}
	page.versions = append(page.versions, v)
	return true
}

func (page *versionPage) response(s *s3Request, encode func(string) string) *response {
	var x s3XML
	x.open("ListVersionsResult")
	x.element("Name", s.of.name)
	x.element("Prefix", encode(page.prefix))
	x.element("KeyMarker", encode(page.after))
	x.element("VersionIdMarker", page.afterVersion)
	if page.truncated {
		last := page.versions[len(page.versions)-1]
		x.element("NextKeyMarker", encode(last.name))
		if last.object != nil {
			x.element("NextVersionIdMarker", last.object.shownID())
		}
	}
	x.element("MaxKeys", itoa(page.max))
	if page.delimiter != "" {
		x.element("Delimiter", encode(page.delimiter))
	}
	if s.query.Has("encoding-type") {
		x.element("EncodingType", "url")
	}
	x.element("IsTruncated", strconv.FormatBool(page.truncated))
	for _, listed := range page.versions {
		v := listed.object
		if v == nil {
			continue
		}
		element := "Version"
		if v.marker {
			element = "DeleteMarker"
		}
		x.open(element)
		x.element("Key", encode(v.Key))
		x.element("VersionId", v.shownID())
		x.element("IsLatest", strconv.FormatBool(listed.latest))
		x.element("LastModified", v.LastModified.Format(xmlTime))
		if !v.marker {
			x.element("ETag", v.ETag)
			x.checksumKind(v)
			x.element("Size", itoa(v.Size))
			x.element("StorageClass", v.StorageClass)
		}
		x.owner(s.of.owner)
		x.close(element)
	}
	for _, listed := range page.versions {
		if listed.object == nil {
			x.commonPrefix(encode(listed.name))
		}
	}
	x.close("ListVersionsResult")
	return x.response()
}
