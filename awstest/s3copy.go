package awstest

import (
	"net/http"
	"net/url"
	"strings"
)

// CopyObject, and the reading of a source that it shares with UploadPartCopy.

// copyObject handles CopyObject.
func copyObject(s *s3Request) (*response, *refusal) {
	if refused := s.authorizeWrite(); refused != nil {
		return nil, refused
	}
	directive := s.Header.Get("X-Amz-Metadata-Directive")
	if directive != "" && directive != "COPY" && directive != "REPLACE" {
		return nil, badArgument("Unknown metadata directive.", "x-amz-metadata-directive", directive)
	}
	source, refused := copySource(s)
	if refused != nil {
		return nil, refused
	}
	from, refused := readable(source)
	if refused != nil {
		return nil, refused
	}
	if from.Size > maxUpload {
		return nil, refuse(400, "InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120")
	}
	o, refused := s.described()
	if refused != nil {
		return nil, refused
	}
	if source.of == s.of && source.key == s.key && directive != "REPLACE" && !source.query.Has("versionId") && o.StorageClass == "" && !reencrypts(s) {
		return nil, refuse(400, "InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	if directive != "REPLACE" {
		o.ContentType, o.ContentEncoding, o.Metadata = from.ContentType, from.ContentEncoding, from.Metadata
		for _, name := range storedHeaders {
			delete(o.Headers, name)
			if value := from.Headers[name]; value != "" {
				o.Headers[name] = value
			}
		}
	}
	if o.ChecksumAlgorithm, refused = wantedChecksum(s); refused != nil {
		return nil, refused
	}
	if o.ChecksumAlgorithm == "" && from.ChecksumType != "" {
		o.ChecksumAlgorithm = from.ChecksumAlgorithm
	}
	v := newVersion(o, from.data)
	if refused := s.storeIf(v); refused != nil {
		return nil, refused
	}
	var x s3XML
	x.open("CopyObjectResult")
	x.element("LastModified", v.LastModified.Format(xmlTime))
	x.element("ETag", v.ETag)
	x.checksum(v)
	x.close("CopyObjectResult")
	resp := x.response()
	s.written(resp, v)
	nameSource(resp, source, from)
	return resp, nil
}

// reencrypts reports whether a copy asks for an encryption.
func reencrypts(s *s3Request) bool {
	return s.Header.Get("X-Amz-Server-Side-Encryption") != "" || s.Header.Get(customerKeyHeader+"Algorithm") != ""
}

// copySource returns the read of the source that a copy asks for, as a request of
// the caller's.
func copySource(s *s3Request) (*s3Request, *refusal) {
	if s.caller == nil {
		return nil, refuse(403, "AccessDenied", "Anonymous users cannot copy objects. Please authenticate.")
	}
	header := s.Header.Get("X-Amz-Copy-Source")
	path, query, _ := strings.Cut(header, "?")
	path, err := url.PathUnescape(path)
	if strings.HasPrefix(path, "arn:") {
		return nil, refuse(501, "NotImplemented", "awstest does not implement access points, of which x-amz-copy-source names one", "Header", "x-amz-copy-source")
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if err != nil || bucket == "" || key == "" {
		return nil, badArgument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey", "x-amz-copy-source", header)
	}
	id := ""
	if query != "" {
		value, ok := strings.CutPrefix(query, "versionId=")
		if value, err = url.QueryUnescape(value); err != nil || !ok || !validVersionID(value) {
			return nil, badArgument("Invalid version id specified", "x-amz-copy-source", header)
		}
		id = value
	}
	of := s.cloud.buckets.get(bucket)
	if of == nil {
		return nil, refuse(404, "NoSuchBucket", "The specified bucket does not exist", "BucketName", bucket)
	}
	if owner := s.Header.Get("X-Amz-Source-Expected-Bucket-Owner"); owner != "" && owner != of.owner.id {
		return nil, refuse(403, "AccessDenied", "Access Denied")
	}
	read := http.Header{}
	for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		if value := s.Header.Get("X-Amz-Copy-Source-" + name); value != "" {
			read.Set(name, value)
		}
	}
	for _, name := range []string{"Algorithm", "Key", "Key-Md5"} {
		if value := s.Header.Get("X-Amz-Copy-Source-Server-Side-Encryption-Customer-" + name); value != "" {
			read.Set(customerKeyHeader+name, value)
		}
	}
	return s.inner(http.MethodGet, of, key, id, read), nil
}

// readable returns the version that a read of a copy's source means, if the
// caller may read it and the conditions hold.
func readable(s *s3Request) (*version, *refusal) {
	action := "s3:GetObject"
	if s.query.Has("versionId") {
		action = "s3:GetObjectVersion"
	}
	if refused := s.authorize(action); refused != nil {
		return nil, refused
	}
	v, refused := s.find()
	switch {
	case refused != nil && refused.code == "MethodNotAllowed":
		return nil, refuse(400, "InvalidRequest", "The source of a copy request may not specifically refer to a delete marker by version id.")
	case refused != nil:
		return nil, refused
	}
	if refused := decrypt(s, v); refused != nil {
		return nil, refused
	}
	// All that fails is a 412: there is no 304 for a write.
	if status, header := v.preconditions(s.Header); status != 0 {
		return nil, preconditionFailed("x-amz-copy-source-" + header)
	}
	if archive := v.archive(); archive != nil {
		return nil, refuse(403, "InvalidObjectState", "The source object of the COPY action is not in the active tier and is only stored in Amazon S3 Glacier.", archive...)
	}
	return v, nil
}

// nameSource adds to the response which version of the source was copied.
func nameSource(resp *response, s *s3Request, v *version) {
	if s.settings.versioning != "" {
		resp.header.Set("X-Amz-Copy-Source-Version-Id", v.shownID())
	}
}

// wantedChecksum returns the algorithm that x-amz-checksum-algorithm asks for.
func wantedChecksum(s *s3Request) (string, *refusal) {
	given := strings.ToUpper(s.Header.Get("X-Amz-Checksum-Algorithm"))
	if given != "" && checksumNew[given] == nil {
		return "", refuse(400, "InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with any of the valid types: ["+strings.Join(checksumNames(), ", ")+"]")
	}
	return given, nil
}
