package awstest

import (
	"cmp"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Multipart uploads: create, parts (also copied ones), complete, abort. Listings of
// them are in s3uploads.go. Parts are held as they came until the upload is
// completed or aborted.

// upload is a multipart upload in progress. Its parts are guarded by the bucket's
// mutex; all else never changes.
type upload struct {
	id, key   string
	initiator *principal
	began     time.Time
	object    Object // as described at the beginning

	algorithm    string // of the checksum asked for; empty: none
	checksumType string // FULL_OBJECT or COMPOSITE

	parts map[int]*part
}

// part is one uploaded part. It never changes: a part uploaded again is another.
type part struct {
	number   int
	data     []byte
	etag     string
	checksum string // by the upload's algorithm, in base64; empty if it has none
	modified time.Time
}

// What S3 allows (Amazon S3 User Guide, "Amazon S3 multipart upload limits").
const (
	maxPartNumber      = 10000
	defaultMinPartSize = 5 << 20 // bytes of every part but the last
	maxCompleteBody    = 8 << 20 // bytes of the document; 10,000 parts with checksums need 3 MB
)

// createUpload handles CreateMultipartUpload.
func createUpload(s *s3Request) (*response, *refusal) {
	if s.caller == nil {
		return nil, refuse(403, "AccessDenied", "Anonymous users cannot initiate multipart uploads.  Please authenticate.")
	}
	if refused := s.authorize("s3:PutObject"); refused != nil {
		return nil, refused
	}
	o, refused := s.described()
	if refused != nil {
		return nil, refused
	}
	u := &upload{
		key: s.key, initiator: s.caller, began: storedTime(s.now), object: o, parts: map[int]*part{},
	}
	if u.algorithm, u.checksumType, refused = uploadChecksum(s); refused != nil {
		return nil, refused
	}
	s.of.mu.Lock()
	if s.of.uploads == nil {
		s.of.uploads = map[string]*upload{}
	}
	// Ids sort in the order of creation, which listings go by.
	s.of.uploadCount++
	u.id = fmt.Sprintf("%08x", s.of.uploadCount) + strings.NewReplacer("+", ".", "/", "_", "=", "-").Replace(newSecret(60))
	s.of.uploads[u.id] = u
	s.of.mu.Unlock()

	var x s3XML
	x.open("InitiateMultipartUploadResult")
	x.element("Bucket", s.of.name)
	x.element("Key", s.key)
	x.element("UploadId", u.id)
	x.close("InitiateMultipartUploadResult")
	resp := x.response()
	if u.algorithm != "" {
		resp.header.Set("X-Amz-Checksum-Algorithm", u.algorithm)
		resp.header.Set("X-Amz-Checksum-Type", u.checksumType)
	}
	s.encrypted(resp, &u.object)
	return resp, nil
}

// uploadChecksum returns the checksum that an upload is created with. Without one,
// S3 computes a CRC64NVME of the whole object.
func uploadChecksum(s *s3Request) (algorithm, checksumType string, refused *refusal) {
	if algorithm, refused = wantedChecksum(s); refused != nil {
		return "", "", refused
	}
	checksumType = s.Header.Get("X-Amz-Checksum-Type")
	crc := strings.HasPrefix(algorithm, "CRC")
	switch {
	case !slices.Contains([]string{"", "FULL_OBJECT", "COMPOSITE"}, checksumType):
		return "", "", refuse(400, "InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
	case algorithm == "" && checksumType != "":
		return "", "", refuse(400, "InvalidRequest", "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
	case algorithm == "CRC64NVME" && checksumType == "COMPOSITE", checksumType == "FULL_OBJECT" && !crc:
		return "", "", refuse(400, "InvalidRequest", "The "+checksumType+" checksum type cannot be used with the "+strings.ToLower(algorithm)+" checksum algorithm.")
	case checksumType != "":
	case algorithm == "" || algorithm == "CRC64NVME":
		checksumType = "FULL_OBJECT"
	default:
		checksumType = "COMPOSITE"
	}
	return algorithm, checksumType, nil
}

// findUpload returns the upload that the request names.
func findUpload(s *s3Request) (*upload, *refusal) {
	s.of.mu.RLock()
	defer s.of.mu.RUnlock()
	u := s.of.uploads[s.query.Get("uploadId")]
	if u == nil || u.key != s.key {
		return nil, noSuchUpload(s)
	}
	return u, nil
}

func noSuchUpload(s *s3Request) *refusal {
	return refuse(404, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.", "UploadId", s.query.Get("uploadId"))
}

// partNumber is the number that an UploadPart names.
func partNumber(s *s3Request) (int, *refusal) {
	text := s.query.Get("partNumber")
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPartNumber {
		return 0, badArgument("Part number must be an integer between 1 and 10000, inclusive", "partNumber", text)
	}
	return n, nil
}

// uploadPart handles UploadPart.
func uploadPart(s *s3Request) (*response, *refusal) {
	if refused := s.authorize("s3:PutObject"); refused != nil {
		return nil, refused
	}
	number, refused := partNumber(s)
	if refused != nil {
		return nil, refused
	}
	if refused := checkLength(s); refused != nil {
		return nil, refused
	}
	u, refused := findUpload(s)
	if refused != nil {
		return nil, refused
	}
	if refused := checkUploadKey(s, u); refused != nil {
		return nil, refused
	}
	if refused := verifyMD5(s); refused != nil {
		return nil, refused
	}
	algorithm, refused := verifyChecksum(s)
	if refused != nil {
		return nil, refused
	}
	if !u.takes(algorithm) {
		return nil, u.checksumMismatch(algorithm)
	}
	p, refused := storePart(s, u, number, s.body)
	if refused != nil {
		return nil, refused
	}
	resp := &response{status: 200, header: http.Header{}}
	resp.header.Set("Etag", p.etag)
	if p.checksum != "" {
		resp.header.Set("X-Amz-Checksum-"+u.algorithm, p.checksum)
	}
	s.encrypted(resp, &u.object)
	return resp, nil
}

// checksumsOf2022 are the algorithms that the parts of an upload without one may
// have, as the SDKs add a CRC32 by themselves; for the later ones, the upload must
// have been created with them.
var checksumsOf2022 = []string{"CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"}

// takes reports whether a part may come with a checksum by this algorithm; empty:
// with none.
func (u *upload) takes(algorithm string) bool {
	switch {
	case algorithm == u.algorithm:
		return true
	case u.algorithm == "":
		return slices.Contains(checksumsOf2022, algorithm)
	}
	return algorithm == "" && u.checksumType == "FULL_OBJECT"
}

func (u *upload) checksumMismatch(algorithm string) *refusal {
	return refuse(400, "InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: "+
		strings.ToLower(cmp.Or(u.algorithm, "null"))+", actual checksum Type: "+strings.ToLower(cmp.Or(algorithm, "null")))
}

// storePart adds a part to an upload, in place of one with the same number.
func storePart(s *s3Request, u *upload, number int, data []byte) (*part, *refusal) {
	sum := md5.Sum(data)
	p := &part{number: number, data: data, etag: `"` + hex.EncodeToString(sum[:]) + `"`, modified: storedTime(s.now)}
	if u.algorithm != "" {
		p.checksum = base64.StdEncoding.EncodeToString(checksum(u.algorithm, data))
	}
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if s.of.uploads[u.id] != u { // completed or aborted meanwhile
		return nil, noSuchUpload(s)
	}
	u.parts[number] = p
	return p, nil
}

// uploadPartCopy handles UploadPartCopy.
func uploadPartCopy(s *s3Request) (*response, *refusal) {
	if refused := s.authorize("s3:PutObject"); refused != nil {
		return nil, refused
	}
	number, refused := partNumber(s)
	if refused != nil {
		return nil, refused
	}
	source, refused := copySource(s)
	if refused != nil {
		return nil, refused
	}
	from, refused := readable(source)
	if refused != nil {
		return nil, refused
	}
	data := from.data
	if text := s.Header.Get("X-Amz-Copy-Source-Range"); text != "" {
		if data, refused = copiedRange(text, from); refused != nil {
			return nil, refused
		}
	}
	if int64(len(data)) > maxUpload {
		return nil, refuse(400, "InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120")
	}
	u, refused := findUpload(s)
	if refused != nil {
		return nil, refused
	}
	if refused := checkUploadKey(s, u); refused != nil {
		return nil, refused
	}
	p, refused := storePart(s, u, number, data)
	if refused != nil {
		return nil, refused
	}
	var x s3XML
	x.open("CopyPartResult")
	x.element("LastModified", p.modified.Format(xmlTime))
	x.element("ETag", p.etag)
	if p.checksum != "" {
		x.element("Checksum"+u.algorithm, p.checksum)
	}
	x.close("CopyPartResult")
	resp := x.response()
	s.encrypted(resp, &u.object)
	nameSource(resp, source, from)
	return resp, nil
}

// copiedRange returns the bytes of a version that an x-amz-copy-source-range
// means: both ends are given, and the object has them.
func copiedRange(text string, v *version) ([]byte, *refusal) {
	asked, ok := parseRange(text)
	if !ok || asked.suffix || strings.HasSuffix(text, "-") {
		return nil, badArgument("The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy", "x-amz-copy-source-range", text)
	}
	if asked.last >= v.Size {
		return nil, badArgument("Range specified is not valid for source object of size: "+itoa(v.Size), "x-amz-copy-source-range", text)
	}
	return v.data[asked.first : asked.last+1 : asked.last+1], nil
}

// abortUpload handles AbortMultipartUpload.
func abortUpload(s *s3Request) (*response, *refusal) {
	if refused := s.authorize("s3:AbortMultipartUpload"); refused != nil {
		return nil, refused
	}
	u, refused := findUpload(s)
	if refused != nil {
		return nil, refused
	}
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	delete(s.of.uploads, u.id)
	return &response{status: http.StatusNoContent, header: http.Header{}}, nil
}

// listedPart is a part as CompleteMultipartUpload lists it.
type listedPart struct {
	PartNumber *int
	ETag       *string
	Other      []struct {
		XMLName xml.Name
		Text    string `xml:",chardata"`
	} `xml:",any"`
}

// checksum is the part's checksum by the algorithm, and whether one by another is
// given.
func (l listedPart) checksum(algorithm string) (sum string, foreign bool) {
	for _, e := range l.Other {
		switch name, ok := strings.CutPrefix(e.XMLName.Local, "Checksum"); {
		case ok && name == algorithm:
			sum = e.Text
		case ok:
			foreign = true
		}
	}
	return sum, foreign
}

// completeUpload handles CompleteMultipartUpload.
func completeUpload(s *s3Request) (*response, *refusal) {
	if refused := s.authorizeWrite(); refused != nil {
		return nil, refused
	}
	var list struct {
		XMLName xml.Name     `xml:"CompleteMultipartUpload"`
		Parts   []listedPart `xml:"Part"`
	}
	if refused := readXML(s, maxCompleteBody, &list); refused != nil {
		return nil, refused
	}
	if len(list.Parts) == 0 || len(list.Parts) > maxPartNumber {
		return nil, malformedXML()
	}
	u, refused := findUpload(s)
	if refused != nil {
		return nil, refused
	}
	if u.object.KMSKey != nil {
		if refused := u.object.KMSKey.use(s, "kms:Decrypt"); refused != nil {
			return nil, refused
		}
	}
	parts, refused := chosenParts(s, u, list.Parts)
	if refused != nil {
		return nil, refused
	}
	v := u.assemble(parts)
	if refused := checkComplete(s, u, v); refused != nil {
		return nil, refused
	}
	if refused := finish(s, u, v); refused != nil {
		return nil, refused
	}
	var x s3XML
	x.open("CompleteMultipartUploadResult")
	x.element("Location", "https://"+s.of.name+".s3."+s.settings.region+"."+s.cloud.partition.suffix+(&url.URL{Path: "/" + s.key}).EscapedPath())
	x.element("Bucket", s.of.name)
	x.element("Key", s.key)
	x.element("ETag", v.ETag)
	x.checksum(v)
	x.close("CompleteMultipartUploadResult")
	resp := x.response()
	s.written(resp, v)
	return resp, nil
}

// chosenParts returns the parts that the list names, or says which is none of the
// upload's.
func chosenParts(s *s3Request, u *upload, list []listedPart) ([]*part, *refusal) {
	s.of.mu.RLock()
	uploaded, smallest := maps.Clone(u.parts), s.of.minPartSize
	s.of.mu.RUnlock()
	var parts []*part
	for i, l := range list {
		if l.PartNumber == nil || l.ETag == nil {
			return nil, malformedXML()
		}
		number := *l.PartNumber
		if i > 0 && number <= parts[i-1].number {
			return nil, refuse(400, "InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number.", "UploadId", u.id)
		}
		p := uploaded[number]
		sum, foreign := l.checksum(u.algorithm)
		switch {
		case p == nil || strings.Trim(p.etag, `"`) != strings.Trim(*l.ETag, `"`) || foreign || sum != "" && sum != p.checksum:
			return nil, refuse(400, "InvalidPart", "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
				"UploadId", u.id, "PartNumber", itoa(number), "ETag", strings.Trim(*l.ETag, `"`))
		case sum == "" && u.checksumType == "COMPOSITE":
			return nil, refuse(400, "InvalidRequest", "The upload was created using a "+strings.ToLower(u.algorithm)+" checksum. The complete request must include the checksum for each part. It was missing for part "+itoa(number)+" in the request.")
		}
		parts = append(parts, p)
	}
	for _, p := range parts[:len(parts)-1] {
		if int64(len(p.data)) < smallest {
			return nil, refuse(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size",
				"ProposedSize", itoa(len(p.data)), "MinSizeAllowed", itoa(smallest), "PartNumber", itoa(p.number), "ETag", strings.Trim(p.etag, `"`))
		}
	}
	return parts, nil
}

// assemble makes an object of the parts.
func (u *upload) assemble(parts []*part) *version {
	size := 0
	var ends []int64
	for _, p := range parts {
		size += len(p.data)
		ends = append(ends, int64(size))
	}
	data := make([]byte, 0, size)
	for _, p := range parts {
		data = append(data, p.data...)
	}
	o := u.object
	o.PartSize, o.ChecksumAlgorithm, o.ChecksumType = ends[0], u.algorithm, u.checksumType
	return newVersionOfParts(o, data, ends)
}

// checkComplete compares what the request says of the whole object with it.
func checkComplete(s *s3Request, u *upload, v *version) *refusal {
	algorithm, value, refused := givenChecksum(s)
	if refused != nil {
		return refused
	}
	stated := s.Header.Get("X-Amz-Checksum-Type")
	sum := v.checksum(0)
	digest, _, _ := strings.Cut(sum, "-")
	switch size := s.Header.Get("X-Amz-Mp-Object-Size"); {
	case size != "" && size != itoa(v.Size):
		return refuse(400, "InvalidRequest", "The provided 'x-amz-mp-object-size' header value "+size+" does not match what was computed: "+itoa(v.Size))
	case stated != "" && stated != v.ChecksumType:
		return refuse(400, "InvalidRequest", "The upload was created using the "+v.ChecksumType+" checksum mode. The complete request must use the same checksum mode.")
	case algorithm != "" && algorithm != v.ChecksumAlgorithm:
		return u.checksumMismatch(algorithm)
	case algorithm != "" && value != sum && value != digest:
		return refuse(400, "BadDigest", "The "+strings.ToLower(algorithm)+" you specified did not match the calculated checksum.")
	}
	return nil
}

// finish stores the object of a completed upload, in one step with the conditions
// of the request. If they do not hold, the upload stays.
func finish(s *s3Request, u *upload, v *version) *refusal {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if s.of.uploads[u.id] != u { // completed or aborted meanwhile
		return noSuchUpload(s)
	}
	if refused := s.writeConditions(); refused != nil {
		return refused
	}
	delete(s.of.uploads, u.id)
	s.of.store(v)
	return nil
}
