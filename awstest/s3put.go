package awstest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// storedHeaders are headers of a PUT that come back with the object and that
// Object has no field for.
var storedHeaders = []string{"Cache-Control", "Content-Disposition", "Content-Language", "Expires"}

// putObject handles PutObject.
func (s *s3Request) putObject() (*response, *refusal) {
	if refused := s.authorizeWrite(); refused != nil {
		return nil, refused
	}
	if refused := checkLength(s); refused != nil {
		return nil, refused
	}
	o, refused := s.described()
	if refused != nil {
		return nil, refused
	}
	if refused := verifyMD5(s); refused != nil {
		return nil, refused
	}
	if o.ChecksumAlgorithm, refused = verifyChecksum(s); refused != nil {
		return nil, refused
	}
	v := newVersion(o, s.body)
	if refused := s.storeIf(v); refused != nil {
		return nil, refused
	}
	resp := &response{status: 200, header: http.Header{}}
	resp.header.Set("Etag", v.ETag)
	setChecksum(resp.header, v)
	s.written(resp, v)
	return resp, nil
}

// authorizeWrite refuses a caller that may not write the object. Only a caller
// that may read it learns, by If-Match, what is stored.
func (s *s3Request) authorizeWrite() *refusal {
	if refused := s.authorize("s3:PutObject"); refused != nil || s.Header.Get("If-Match") == "" {
		return refused
	}
	return s.authorize("s3:GetObject")
}

// written adds what every response to a write says of the new version.
func (s *s3Request) written(resp *response, v *version) {
	s.encrypted(resp, &v.Object)
	if s.settings.versioning != "" {
		resp.header.Set("X-Amz-Version-Id", v.shownID())
	}
}

// encrypted adds how an object is encrypted, and who pays for the request.
func (s *s3Request) encrypted(resp *response, o *Object) {
	describeEncryption(resp.header, o)
	if s.charged() {
		resp.header.Set("X-Amz-Request-Charged", "requester")
	}
}

// storeIf stores the object if the request's conditions hold, in one step.
func (s *s3Request) storeIf(v *version) *refusal {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if refused := s.writeConditions(); refused != nil {
		return refused
	}
	s.of.store(v)
	return nil
}

// writeConditions refuses a write whose If-Match or If-None-Match does not hold
// for what the key has now (Amazon S3 User Guide, "Conditional writes"). The
// bucket's mutex must be held.
func (s *s3Request) writeConditions() *refusal {
	match, none := s.Header.Get("If-Match"), s.Header.Get("If-None-Match")
	newest := s.of.newest(s.key)
	switch {
	case none != "" && none != "*":
		return refuse(501, "NotImplemented", "A header you provided implies functionality that is not implemented", "Header", "If-None-Match")
	case match != "" && newest == nil:
		return s.noSuchKey()
	case match != "" && !etagIn(match, newest.ETag):
		return preconditionFailed("If-Match")
	case none != "" && newest != nil:
		return preconditionFailed("If-None-Match")
	}
	return nil
}

// described returns an object as the headers of a write describe it, without
// checksum and data. The caller may use the key that encrypts it.
func (s *s3Request) described() (Object, *refusal) {
	o := Object{
		Key: s.key, ContentType: s.Header.Get("Content-Type"), StorageClass: s.option("X-Amz-Storage-Class"),
		ContentEncoding: s.contentEncoding(), Metadata: s.metadata(), Headers: map[string]string{},
	}
	for _, name := range storedHeaders {
		if value := s.Header.Get(name); value != "" {
			o.Headers[name] = value
		}
	}
	size := 0
	for name, value := range o.Metadata {
		size += len(name) + len(value)
	}
	switch acl := s.option("X-Amz-Acl"); {
	case size > maxMetadata:
		return o, refuse(400, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size", "Size", itoa(size), "MaxSizeAllowed", itoa(maxMetadata))
	case o.StorageClass != "" && !slices.Contains(storageClasses, o.StorageClass):
		return o, refuse(400, "InvalidStorageClass", "The storage class you specified is not valid", "StorageClassRequested", o.StorageClass)
	case acl != "" && acl != "bucket-owner-full-control", hasGrants(s):
		return o, noACLs()
	}
	return o, encrypt(s, &o)
}

// noACLs is the response to every ACL, private too, but bucket-owner-full-control:
// new buckets have ACLs switched off (Amazon S3 User Guide, "Controlling ownership
// of objects and disabling ACLs").
func noACLs() *refusal {
	return refuse(400, "AccessControlListNotSupported", "The bucket does not allow ACLs")
}

// contentEncoding is that of the object: aws-chunked was that of the transfer.
func (s *s3Request) contentEncoding() string {
	var codings []string
	for coding := range strings.SplitSeq(strings.Join(s.Header.Values("Content-Encoding"), ","), ",") {
		if coding = strings.TrimSpace(coding); coding != "" && coding != "aws-chunked" {
			codings = append(codings, coding)
		}
	}
	return strings.Join(codings, ",")
}

// metadata is the user's own, its names in lower case as S3 keeps them. A
// presigned URL may carry it in its query.
func (s *s3Request) metadata() map[string]string {
	metadata := map[string]string{}
	for _, from := range []map[string][]string{s.query, s.Header} {
		for name, values := range from {
			if name, ok := strings.CutPrefix(strings.ToLower(name), "x-amz-meta-"); ok {
				metadata[name] = strings.Join(values, ",")
			}
		}
	}
	return metadata
}

// checkLength refuses a body of unknown length, and one that is too long for one
// request.
func checkLength(s *s3Request) *refusal {
	switch {
	case s.ContentLength < 0 && s.Header.Get("X-Amz-Decoded-Content-Length") == "":
		return refuse(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
	case int64(len(s.body)) > maxUpload:
		return refuse(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", "ProposedSize", itoa(len(s.body)), "MaxSizeAllowed", strconv.FormatInt(maxUpload, 10))
	}
	return nil
}

const (
	maxMetadata = 2048    // Amazon S3 User Guide, "Working with object metadata"
	maxUpload   = 5 << 30 // Amazon S3 User Guide, "Uploading objects": by one PUT, or as one part
)
