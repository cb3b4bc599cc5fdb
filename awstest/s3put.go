package awstest

import (
	"crypto/md5"
	"encoding/base64"
	"maps"
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
	if refused := s.authorize("s3:PutObject"); refused != nil {
		return nil, refused
	}
	if s.Header.Get("If-Match") != "" {
		// Only a caller that may read the object learns what is stored.
		if refused := s.authorize("s3:GetObject"); refused != nil {
			return nil, refused
		}
	}
	o := Object{
		Key: s.key, ContentType: s.Header.Get("Content-Type"), StorageClass: s.Header.Get("X-Amz-Storage-Class"),
		ContentEncoding: s.contentEncoding(), Metadata: s.metadata(),
	}
	for _, name := range storedHeaders {
		if value := s.Header.Get(name); value != "" {
			if o.Headers == nil {
				o.Headers = map[string]string{}
			}
			o.Headers[name] = value
		}
	}
	for _, check := range []func(*Object) *refusal{s.checkHeaders, s.checkMD5, s.checkChecksum} {
		if refused := check(&o); refused != nil {
			return nil, refused
		}
	}

	v := newVersion(o, s.body)
	if refused := s.storeIf(v); refused != nil {
		return nil, refused
	}
	resp := &response{status: 200, header: http.Header{}}
	resp.header.Set("Etag", v.ETag)
	resp.header.Set("X-Amz-Server-Side-Encryption", "AES256")
	resp.header.Set("X-Amz-Checksum-"+v.ChecksumAlgorithm, v.checksum(0))
	resp.header.Set("X-Amz-Checksum-Type", v.ChecksumType)
	if v.VersionID != "" {
		resp.header.Set("X-Amz-Version-Id", v.VersionID)
	}
	if s.charged() {
		resp.header.Set("X-Amz-Request-Charged", "requester")
	}
	return resp, nil
}

// storeIf stores the object if the request's conditions hold, in one step.
func (s *s3Request) storeIf(v *version) *refusal {
	match, none := s.Header.Get("If-Match"), s.Header.Get("If-None-Match")
	if none != "" && none != "*" {
		return refuse(501, "NotImplemented", "A header you provided implies functionality that is not implemented", "Header", "If-None-Match")
	}
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	var newest *version
	if versions := s.of.objects[s.key]; len(versions) > 0 && !versions[len(versions)-1].marker {
		newest = versions[len(versions)-1]
	}
	switch {
	case match != "" && newest == nil:
		return s.noSuchKey()
	case match != "" && !etagIn(match, newest.ETag):
		return preconditionFailed("If-Match")
	case none != "" && newest != nil:
		return preconditionFailed("If-None-Match")
	}
	s.of.store(v)
	return nil
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

// metadata is the user's own, its names in lower case as S3 keeps them.
func (s *s3Request) metadata() map[string]string {
	metadata := map[string]string{}
	for name, values := range s.Header {
		if name, ok := strings.CutPrefix(strings.ToLower(name), "x-amz-meta-"); ok {
			metadata[name] = strings.Join(values, ",")
		}
	}
	return metadata
}

func (s *s3Request) checkHeaders(o *Object) *refusal {
	size := 0
	for name, value := range o.Metadata {
		size += len(name) + len(value)
	}
	acl := s.Header.Get("X-Amz-Acl")
	switch {
	case s.ContentLength < 0 && s.Header.Get("X-Amz-Decoded-Content-Length") == "":
		return refuse(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
	case int64(len(s.body)) > maxUpload:
		return refuse(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", "ProposedSize", itoa(len(s.body)), "MaxSizeAllowed", strconv.FormatInt(maxUpload, 10))
	case size > maxMetadata:
		return refuse(400, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size", "Size", itoa(size), "MaxSizeAllowed", itoa(maxMetadata))
	case o.StorageClass != "" && !slices.Contains(storageClasses, o.StorageClass):
		return refuse(400, "InvalidStorageClass", "The storage class you specified is not valid", "StorageClassRequested", o.StorageClass)
	case acl != "" && acl != "private" && acl != "bucket-owner-full-control":
		// New buckets have ACLs switched off ("bucket owner enforced").
		return refuse(400, "AccessControlListNotSupported", "The bucket does not allow ACLs")
	}
	return nil
}

const (
	maxMetadata = 2048    // Amazon S3 User Guide, "Working with object metadata"
	maxUpload   = 5 << 30 // Amazon S3 User Guide, "Uploading objects": by one PUT
)

func (s *s3Request) checkMD5(*Object) *refusal {
	given := s.Header.Get("Content-Md5")
	if given == "" {
		return nil
	}
	want, err := base64.StdEncoding.DecodeString(given)
	if err != nil || len(want) != md5.Size {
		return refuse(400, "InvalidDigest", "The Content-MD5 you specified was invalid.", "Content-MD5", given)
	}
	got := md5.Sum(s.body)
	if string(want) != string(got[:]) {
		return refuse(400, "BadDigest", "The Content-MD5 you specified did not match what we received.",
			"ExpectedDigest", given, "CalculatedDigest", base64.StdEncoding.EncodeToString(got[:]))
	}
	return nil
}

// checkChecksum compares the x-amz-checksum-* of the request, be it a header or
// a trailer, and notes its algorithm in o.
func (s *s3Request) checkChecksum(o *Object) *refusal {
	given := map[string]string{}
	for _, from := range []http.Header{s.Header, s.Trailer} {
		for name, values := range from {
			algorithm, ok := strings.CutPrefix(strings.ToUpper(name), "X-AMZ-CHECKSUM-")
			if ok && algorithm != "TYPE" && algorithm != "ALGORITHM" && algorithm != "MODE" && len(values) > 0 {
				given[algorithm] = values[0]
			}
		}
	}
	switch {
	case len(given) > 1:
		return refuse(400, "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
	case len(given) == 0 && s.Header.Get("X-Amz-Sdk-Checksum-Algorithm") != "":
		return refuse(400, "InvalidRequest", "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
	case len(given) == 0:
		return nil
	}
	algorithm := slices.Collect(maps.Keys(given))[0]
	if checksumNew[algorithm] == nil {
		return refuse(501, "NotImplemented", "A header you provided implies functionality that is not implemented", "Header", "x-amz-checksum-"+strings.ToLower(algorithm))
	}
	want, err := base64.StdEncoding.DecodeString(given[algorithm])
	if err != nil || len(want) != checksumNew[algorithm]().Size() {
		return refuse(400, "InvalidRequest", "Value for x-amz-checksum-"+strings.ToLower(algorithm)+" header is invalid.")
	}
	if string(checksum(algorithm, s.body)) != string(want) {
		return refuse(400, "BadDigest", "The "+algorithm+" you specified did not match the calculated checksum.")
	}
	o.ChecksumAlgorithm = algorithm
	return nil
}
