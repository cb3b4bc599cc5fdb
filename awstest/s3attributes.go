package awstest

import (
	"encoding/base64"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// attributeNames are what GetObjectAttributes can be asked for.
var attributeNames = []string{"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}

// getAttributes handles GetObjectAttributes.
func getAttributes(s *s3Request) (*response, *refusal) {
	actions := []string{"s3:GetObject", "s3:GetObjectAttributes"}
	if s.query.Has("versionId") {
		actions = []string{"s3:GetObjectVersion", "s3:GetObjectVersionAttributes"}
		if id := s.query.Get("versionId"); !validVersionID(id) {
			return nil, badArgument("Invalid version id specified", "versionId", id)
		}
	}
	for _, action := range actions {
		if refused := s.authorize(action); refused != nil {
			return nil, refused
		}
	}
	var wanted []string
	for name := range strings.SplitSeq(strings.Join(s.Header.Values("X-Amz-Object-Attributes"), ","), ",") {
		if name = strings.TrimSpace(name); name != "" {
			wanted = append(wanted, name)
		}
		if name != "" && !slices.Contains(attributeNames, name) {
			return nil, badArgument("Invalid attribute name specified.", "x-amz-object-attributes", name)
		}
	}
	if len(wanted) == 0 {
		return nil, refuse(400, "InvalidRequest", "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty")
	}
	v, refused := s.find()
	if refused != nil {
		return nil, refused
	}
	withKey := checkCustomerKey
	if slices.Contains(wanted, "Checksum") {
		withKey = decrypt
	}
	if refused := withKey(s, v); refused != nil {
		return nil, refused
	}
	var x s3XML
	x.open("GetObjectAttributesResponse")
	if slices.Contains(wanted, "ETag") {
		x.element("ETag", strings.Trim(v.ETag, `"`))
	}
	if sum := v.checksum(0); sum != "" && slices.Contains(wanted, "Checksum") {
		digest, _, _ := strings.Cut(sum, "-") // without the number of parts
		x.open("Checksum")
		x.element("Checksum"+v.ChecksumAlgorithm, digest)
		x.element("ChecksumType", v.ChecksumType)
		x.close("Checksum")
	}
	if v.multipart() && slices.Contains(wanted, "ObjectParts") {
		if refused := writeParts(s, &x, v); refused != nil {
			return nil, refused
		}
	}
	if slices.Contains(wanted, "StorageClass") {
		x.element("StorageClass", v.StorageClass)
	}
	if slices.Contains(wanted, "ObjectSize") {
		x.element("ObjectSize", itoa(v.Size))
	}
	x.close("GetObjectAttributesResponse")
	resp := x.response()
	resp.header.Set("Last-Modified", v.LastModified.Format(http.TimeFormat))
	if s.settings.versioning != "" {
		resp.header.Set("X-Amz-Version-Id", v.shownID())
	}
	if s.charged() {
		resp.header.Set("X-Amz-Request-Charged", "requester")
	}
	return resp, nil
}

// writeParts writes how many parts an object was uploaded in and, where each has a
// checksum of its own, the parts.
func writeParts(s *s3Request, x *s3XML, v *version) *refusal {
	number := func(header string, otherwise int) (int, *refusal) {
		text := s.Header.Get(header)
		if text == "" {
			return otherwise, nil
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > math.MaxInt32 {
			return 0, badArgument("Provided "+strings.ToLower(header)+" not an integer or within integer range", strings.ToLower(header), text)
		}
		return n, nil
	}
	after, refused := number("X-Amz-Part-Number-Marker", 0)
	if refused != nil {
		return refused
	}
	most, refused := number("X-Amz-Max-Parts", 1000)
	if refused != nil {
		return refused
	}
	most = min(most, 1000)
	x.open("ObjectParts")
	x.element("PartsCount", itoa(v.parts()))
	if v.ChecksumType == "COMPOSITE" {
		last := min(int64(after)+int64(most), v.parts())
		x.element("PartNumberMarker", itoa(after))
		x.element("NextPartNumberMarker", itoa(last))
		x.element("MaxParts", itoa(most))
		x.element("IsTruncated", strconv.FormatBool(last < v.parts()))
		for n := int64(after) + 1; n <= last; n++ {
			first, end := v.part(n)
			x.open("Part")
			x.element("PartNumber", itoa(n))
			x.element("Size", itoa(end-first))
			x.element("Checksum"+v.ChecksumAlgorithm, base64.StdEncoding.EncodeToString(checksum(v.ChecksumAlgorithm, v.data[first:end])))
			x.close("Part")
		}
	}
	x.close("ObjectParts")
	return nil
}

// getTagging handles GetObjectTagging: no object has tags, as writes that carry some
// are refused.
func getTagging(s *s3Request) (*response, *refusal) {
	action := "s3:GetObjectTagging"
	if s.query.Has("versionId") {
		action = "s3:GetObjectVersionTagging"
		if id := s.query.Get("versionId"); !validVersionID(id) {
			return nil, badArgument("Invalid version id specified", "versionId", id)
		}
	}
	if refused := s.authorize(action); refused != nil {
		return nil, refused
	}
	v, refused := s.find()
	if refused != nil {
		return nil, refused
	}
	var x s3XML
	x.open("Tagging")
	x.open("TagSet")
	x.close("TagSet")
	x.close("Tagging")
	resp := x.response()
	if s.settings.versioning != "" {
		resp.header.Set("X-Amz-Version-Id", v.shownID())
	}
	return resp, nil
}
