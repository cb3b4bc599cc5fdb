package awstest

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Listings of multipart uploads: ListParts and ListMultipartUploads.

// listParts handles ListParts.
func listParts(s *s3Request) (*response, *refusal) {
	if refused := s.authorize("s3:ListMultipartUploadParts"); refused != nil {
		return nil, refused
	}
	most, refused := listLimit(s, "max-parts", "max-parts")
	if refused != nil {
		return nil, refused
	}
	after := 0
	if text := s.query.Get("part-number-marker"); text != "" {
		var err error
		if after, err = strconv.Atoi(text); err != nil || after < 0 {
			return nil, badArgument("Provided part-number-marker not an integer or within integer range", "part-number-marker", text)
		}
	}
	u, refused := findUpload(s)
	if refused != nil {
		return nil, refused
	}
	s.of.mu.RLock()
	parts := slices.SortedFunc(maps.Values(u.parts), func(a, b *part) int { return a.number - b.number })
	s.of.mu.RUnlock()
	parts = slices.DeleteFunc(parts, func(p *part) bool { return p.number <= after })
	truncated := len(parts) > most
	if truncated {
		parts = parts[:most]
	}
	next := 0
	if len(parts) > 0 {
		next = parts[len(parts)-1].number
	}

	var x s3XML
	x.open("ListPartsResult")
	x.element("Bucket", s.of.name)
	x.element("Key", s.key)
	x.element("UploadId", u.id)
	x.people(s.of.owner, u.initiator)
	x.element("StorageClass", cmp.Or(u.object.StorageClass, "STANDARD"))
	x.element("PartNumberMarker", itoa(after))
	x.element("NextPartNumberMarker", itoa(next))
	x.element("MaxParts", itoa(most))
	x.element("IsTruncated", strconv.FormatBool(truncated))
	u.describeChecksum(&x)
	for _, p := range parts {
		x.open("Part")
		x.element("PartNumber", itoa(p.number))
		x.element("LastModified", p.modified.Format(xmlTime))
		x.element("ETag", p.etag)
		x.element("Size", itoa(len(p.data)))
		if p.checksum != "" {
			x.element("Checksum"+u.algorithm, p.checksum)
		}
		x.close("Part")
	}
	x.close("ListPartsResult")
	return x.response(), nil
}

func (u *upload) describeChecksum(x *s3XML) {
	if u.algorithm != "" {
		x.element("ChecksumAlgorithm", u.algorithm)
		x.element("ChecksumType", u.checksumType)
	}
}

// people writes who began an upload and who owns the object to be.
func (x *s3XML) people(owner *Account, initiator *principal) {
	x.open("Initiator")
	x.element("ID", initiator.arn)
	x.close("Initiator")
	x.owner(owner)
}

// listUploads handles ListMultipartUploads.
func listUploads(s *s3Request) (*response, *refusal) {
	if refused := s.authorize("s3:ListBucketMultipartUploads"); refused != nil {
		return nil, refused
	}
	most, refused := listLimit(s, "max-uploads", "max-uploads")
	if refused != nil {
		return nil, refused
	}
	encode, refused := listEncoding(s)
	if refused != nil {
		return nil, refused
	}
	prefix, delimiter := s.query.Get("prefix"), s.query.Get("delimiter")
	uploads, prefixes, truncated := uploadPage(s, prefix, delimiter, most)

	var x s3XML
	x.open("ListMultipartUploadsResult")
	x.element("Bucket", s.of.name)
	x.element("KeyMarker", encode(s.query.Get("key-marker")))
	x.element("UploadIdMarker", s.query.Get("upload-id-marker"))
	x.element("Prefix", encode(prefix))
	if delimiter != "" {
		x.element("Delimiter", encode(delimiter))
	}
	if s.query.Has("encoding-type") {
		x.element("EncodingType", "url")
	}
	x.element("MaxUploads", itoa(most))
	x.element("IsTruncated", strconv.FormatBool(truncated))
	if truncated {
		key, id := "", ""
		if len(uploads) > 0 {
			key, id = uploads[len(uploads)-1].key, uploads[len(uploads)-1].id
		}
		if len(prefixes) > 0 && prefixes[len(prefixes)-1] > key {
			key, id = prefixes[len(prefixes)-1], ""
		}
		x.element("NextKeyMarker", encode(key))
		x.element("NextUploadIdMarker", id)
	}
	for _, u := range uploads {
		x.open("Upload")
		x.element("Key", encode(u.key))
		x.element("UploadId", u.id)
		x.people(s.of.owner, u.initiator)
		x.element("StorageClass", cmp.Or(u.object.StorageClass, "STANDARD"))
		x.element("Initiated", u.began.Format(xmlTime))
		u.describeChecksum(&x)
		x.close("Upload")
	}
	for _, name := range prefixes {
		x.commonPrefix(encode(name))
	}
	x.close("ListMultipartUploadsResult")
	return x.response(), nil
}

// uploadPage returns the uploads and common prefixes after the markers, at most
// most together, and whether there are more.
func uploadPage(s *s3Request, prefix, delimiter string, most int) (uploads []*upload, prefixes []string, truncated bool) {
	s.of.mu.RLock()
	all := slices.SortedFunc(maps.Values(s.of.uploads), func(a, b *upload) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.id, b.id))
	})
	s.of.mu.RUnlock()
	keyMarker, idMarker := s.query.Get("key-marker"), s.query.Get("upload-id-marker")
	for _, u := range all {
		passed := u.key < keyMarker || keyMarker != "" && u.key == keyMarker && (idMarker == "" || u.id <= idMarker)
		if passed || !strings.HasPrefix(u.key, prefix) {
			continue
		}
		common := ""
		if i := strings.Index(u.key[len(prefix):], delimiter); delimiter != "" && i >= 0 {
			common = u.key[:len(prefix)+i+len(delimiter)]
		}
		if common != "" && (common <= keyMarker || slices.Contains(prefixes, common)) {
			continue
		}
		if len(uploads)+len(prefixes) == most {
			return uploads, prefixes, most > 0
		}
		if common != "" {
			prefixes = append(prefixes, common)
		} else {
			uploads = append(uploads, u)
		}
	}
	return uploads, prefixes, false
}
