package awstest

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/crossrole/crossrole/internal/lazyregexp"
)

// getObject handles GetObject and HeadObject.
func (s *s3Request) getObject() (*response, *refusal) {
	action := "s3:GetObject"
	if s.query.Has("versionId") {
		action = "s3:GetObjectVersion"
		if id := s.query.Get("versionId"); !validVersionID(id) {
			return nil, badArgument("Invalid version id specified", "versionId", id)
		}
	}
	if refused := s.authorize(action); refused != nil {
		return nil, refused
	}
	if s.caller == nil && slices.ContainsFunc(responseOverrides, s.query.Has) {
		return nil, refuse(400, "InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests.")
	}
	v, refused := s.find()
	if refused != nil {
		return nil, refused
	}
	// The headers of an object are not encrypted with a key of KMS; its checksum is.
	withKey := decrypt
	if s.Method == http.MethodHead && !s.wantsChecksum() {
		withKey = checkCustomerKey
	}
	if refused := withKey(s, v); refused != nil {
		return nil, refused
	}
	if status, header := v.preconditions(s.Header); status == http.StatusPreconditionFailed {
		return nil, preconditionFailed(header)
	} else if status == http.StatusNotModified {
		return s.notModified(v), nil
	}
	if archive := v.archive(); s.Method == http.MethodGet && archive != nil {
		return nil, refuse(403, "InvalidObjectState", "The operation is not valid for the object's storage class", archive...)
	}
	resp, refused := s.slice(v)
	if refused != nil {
		return nil, refused
	}
	s.describe(resp, v)
	return resp, nil
}

// find is the version that the request means.
func (s *s3Request) find() (*version, *refusal) {
	asked := s.query.Has("versionId")
	v := s.of.version(s.key, s.query.Get("versionId"), asked)
	if v != nil && !v.marker {
		return v, nil
	}
	if v != nil && asked {
		refused := refuse(405, "MethodNotAllowed", "The specified method is not allowed against this resource.", "Method", s.Method, "ResourceType", "DeleteMarker")
		refused.header.Set("Allow", "DELETE")
		refused.header.Set("Last-Modified", v.LastModified.Format(http.TimeFormat))
		markDeleted(refused, v)
		return nil, refused
	}
	// A caller that may not list the bucket does not learn what is missing in it.
	if refused := s.authorize("s3:ListBucket"); refused != nil {
		return nil, refused
	}
	if asked {
		return nil, refuse(404, "NoSuchVersion", "The specified version does not exist.", "Key", s.key, "VersionId", s.query.Get("versionId"))
	}
	refused := s.noSuchKey()
	if v != nil {
		markDeleted(refused, v)
	}
	return nil, refused
}

func markDeleted(refused *refusal, v *version) {
	refused.header.Set("X-Amz-Delete-Marker", "true")
	refused.header.Set("X-Amz-Version-Id", v.shownID())
}

// version finds a version by its id, or the newest if none was asked for.
func (b *Bucket) version(key, id string, asked bool) *version {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, v := range slices.Backward(b.objects[key]) {
		if !asked || v.shownID() == id {
			return v
		}
	}
	return nil
}

// shownID is the version id as S3 spells it: what was stored in a bucket
// without versions is its "null" version.
func (v *version) shownID() string {
	if v.VersionID == "" {
		return "null"
	}
	return v.VersionID
}

var versionID = lazyregexp.New(`^[A-Za-z0-9._]{32}$`)

func validVersionID(id string) bool { return id == "null" || versionID().MatchString(id) }

// newVersionID makes an id that looks as S3's do.
func newVersionID() string {
	return strings.NewReplacer("+", ".", "/", "_").Replace(newSecret(24))
}

// slice returns a response with the requested part of the object. Its body is
// the stored bytes themselves.
func (s *s3Request) slice(v *version) (*response, *refusal) {
	first, end, partial := int64(0), v.Size, false
	header := s.Header.Get("Range")
	resp := &response{status: 200, header: http.Header{}}
	part := int64(0)
	switch asked, isRange := parseRange(header); {
	case s.query.Has("partNumber"):
		if header != "" {
			return nil, refuse(400, "InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
		}
		n, err := strconv.ParseInt(s.query.Get("partNumber"), 10, 64)
		if err != nil || n < 1 || n > 10000 {
			return nil, badArgument("Part number must be an integer between 1 and 10000, inclusive", "partNumber", s.query.Get("partNumber"))
		}
		if n > v.parts() {
			return nil, refuse(416, "InvalidPartNumber", "The requested partnumber is not satisfiable", "PartNumberRequested", itoa(n), "ActualPartCount", itoa(v.parts()))
		}
		part = n
		first, end = v.part(n)
		partial = v.Size > 0
		if v.multipart() {
			resp.header.Set("X-Amz-Mp-Parts-Count", itoa(v.parts()))
		}
	case isRange && (s.fault == nil || !s.fault.IgnoreRange):
		if first, end, partial = asked.within(v.Size); !partial {
			refused := refuse(416, "InvalidRange", "The requested range is not satisfiable", "RangeRequested", header, "ActualObjectSize", itoa(v.Size))
			refused.header.Set("Content-Range", "bytes */"+itoa(v.Size))
			return nil, refused
		}
		if s.fault != nil && s.fault.WrongRange {
			first, end = otherRange(first, end, v.Size)
		}
	}
	if partial {
		resp.status = http.StatusPartialContent
		resp.header.Set("Content-Range", "bytes "+itoa(first)+"-"+itoa(end-1)+"/"+itoa(v.Size))
	}
	resp.body = v.data[first:end:end]
	s.addChecksum(resp, v, part, partial)
	return resp, nil
}

// otherRange is a range of the object that is not the one given, of the same
// length if there is one; an object of one byte has no other.
func otherRange(first, end, size int64) (int64, int64) {
	switch {
	case end < size:
		return first + 1, end + 1
	case first > 0:
		return first - 1, end - 1
	case end > 1:
		return first, end - 1
	}
	return first, end
}

// addChecksum adds what a client asked for and S3 has: the checksum of the
// whole object to the whole object, that of a part to a part where parts have
// their own, none to any other range, which it would not match (Amazon S3 User
// Guide, "Checking object integrity").
func (s *s3Request) addChecksum(resp *response, v *version, part int64, partial bool) {
	wholePart := part == 1 && v.parts() == 1 && v.ChecksumType == "FULL_OBJECT"
	switch {
	case !s.wantsChecksum():
		return
	case wholePart || !partial:
		part = 0
	case part == 0 || v.ChecksumType != "COMPOSITE":
		return
	}
	if sum := v.checksum(part); sum != "" {
		resp.header.Set("X-Amz-Checksum-"+v.ChecksumAlgorithm, sum)
		resp.header.Set("X-Amz-Checksum-Type", v.ChecksumType)
	}
}

func (s *s3Request) wantsChecksum() bool {
	return strings.EqualFold(s.option("X-Amz-Checksum-Mode"), "ENABLED")
}

// describe adds the headers that describe an object.
func (s *s3Request) describe(resp *response, v *version) {
	h := resp.header
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Type", v.ContentType)
	h.Set("Etag", v.ETag)
	h.Set("Last-Modified", v.LastModified.Format(http.TimeFormat))
	describeEncryption(h, &v.Object)
	if v.ContentEncoding != "" {
		h.Set("Content-Encoding", v.ContentEncoding)
	}
	if v.StorageClass != "STANDARD" {
		h.Set("X-Amz-Storage-Class", v.StorageClass)
	}
	if s.settings.versioning != "" {
		h.Set("X-Amz-Version-Id", v.shownID())
	}
	if s.charged() {
		h.Set("X-Amz-Request-Charged", "requester")
	}
	for name, value := range v.Metadata {
		h.Set("X-Amz-Meta-"+name, value)
	}
	for name, value := range v.Headers {
		h.Set(name, value)
	}
	for _, name := range responseOverrides {
		if s.query.Has(name) {
			h.Set(strings.TrimPrefix(name, "response-"), s.query.Get(name))
		}
	}
}

// responseOverrides are the query parameters that replace a header of the
// response.
var responseOverrides = []string{
	"response-cache-control", "response-content-disposition", "response-content-encoding",
	"response-content-language", "response-content-type", "response-expires",
}

// notModified returns a 304, which has no body and hence no error document.
func (s *s3Request) notModified(v *version) *response {
	s.call.Code = "NotModified"
	resp := &response{status: http.StatusNotModified, header: http.Header{}}
	resp.header.Set("Etag", v.ETag)
	resp.header.Set("Last-Modified", v.LastModified.Format(http.TimeFormat))
	if s.settings.versioning != "" {
		resp.header.Set("X-Amz-Version-Id", v.shownID())
	}
	return resp
}

func (s *s3Request) noSuchKey() *refusal {
	return refuse(404, "NoSuchKey", "The specified key does not exist.", "Key", s.key)
}

func preconditionFailed(header string) *refusal {
	return refuse(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold", "Condition", header)
}

func badArgument(message, name, value string) *refusal {
	return refuse(400, "InvalidArgument", message, "ArgumentName", name, "ArgumentValue", value)
}

// byteRange is what a Range header asks for: first to last, which may lie beyond
// the end, or, as a suffix, the last bytes.
type byteRange struct {
	first, last int64
	suffix      bool // "-n": last is n
}

// parseRange reads a Range header. It reports false for what is no single range
// of bytes: S3 then sends the whole object, as if there were no header
// (RFC 9110, section 14.2; GetObject, "doesn't support retrieving multiple
// ranges").
func parseRange(header string) (byteRange, bool) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	from, to, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok || !dash {
		return byteRange{}, false
	}
	first, firstOK := offset(from)
	last, lastOK := offset(to)
	switch {
	case firstOK && lastOK && first <= last:
		return byteRange{first: first, last: last}, true
	case firstOK && to == "":
		return byteRange{first: first, last: math.MaxInt64}, true
	case from == "" && lastOK:
		return byteRange{last: last, suffix: true}, true
	}
	return byteRange{}, false
}

// offset is the number that digits write, or the largest there is.
func offset(digits string) (int64, bool) {
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		n = math.MaxInt64 // only its size can be wrong with it
	}
	return n, true
}

// within is the half-open interval of an object of this size that the range
// means; false when the object has no byte of it.
func (r byteRange) within(size int64) (first, end int64, ok bool) {
	if r.suffix {
		first = max(0, size-r.last)
		return first, size, first < size
	}
	return r.first, min(r.last, size-1) + 1, r.first < size
}

// preconditions is the status with which the request's conditions end it, and
// the header that did; 0 when they hold. Order and combination are those of
// RFC 9110, section 13.2.2, which S3 documents as its own.
func (v *version) preconditions(h http.Header) (status int, header string) {
	if match := h.Get("If-Match"); match != "" {
		if !etagIn(match, v.ETag) {
			return http.StatusPreconditionFailed, "If-Match"
		}
	} else if t, err := http.ParseTime(h.Get("If-Unmodified-Since")); err == nil && v.LastModified.After(t) {
		return http.StatusPreconditionFailed, "If-Unmodified-Since"
	}
	if none := h.Get("If-None-Match"); none != "" {
		if etagIn(none, v.ETag) {
			return http.StatusNotModified, "If-None-Match"
		}
	} else if t, err := http.ParseTime(h.Get("If-Modified-Since")); err == nil && !v.LastModified.After(t) {
		return http.StatusNotModified, "If-Modified-Since"
	}
	return 0, ""
}

// etagIn reports whether a list of entity tags has this one. S3 takes tags without
// quotes too.
func etagIn(list, etag string) bool {
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || strings.Trim(tag, `"`) == strings.Trim(etag, `"`) {
			return true
		}
	}
	return false
}
