package awstest

import (
	"encoding/xml"
	"net/http"
	"strconv"
)

// DeleteObject and DeleteObjects.

// deleteObject handles DeleteObject.
func deleteObject(s *s3Request) (*response, *refusal) {
	done, refused := deleteOne(s)
	if refused != nil {
		return nil, refused
	}
	resp := &response{status: http.StatusNoContent, header: http.Header{}}
	if done.marker {
		resp.header.Set("X-Amz-Delete-Marker", "true")
	}
	if done.versionID != "" {
		resp.header.Set("X-Amz-Version-Id", done.versionID)
	}
	if s.charged() {
		resp.header.Set("X-Amz-Request-Charged", "requester")
	}
	return resp, nil
}

// deleted describes a deletion that was done.
type deleted struct {
	versionID string // of the version deleted, or of the marker that was made; empty in a bucket without versions
	marker    bool   // a delete marker was made or deleted
}

// deleteOne authorizes and does one deletion: of the version that the request
// names, or of the object. What does not exist is deleted with success, unless
// If-Match asks for it.
func deleteOne(s *s3Request) (deleted, *refusal) {
	asked, id := s.query.Has("versionId"), s.query.Get("versionId")
	if asked && !validVersionID(id) {
		return deleted{}, badArgument("Invalid version id specified", "versionId", id)
	}
	action := "s3:DeleteObject"
	if asked {
		action = "s3:DeleteObjectVersion"
	}
	if refused := s.authorize(action); refused != nil {
		return deleted{}, refused
	}
	match := s.Header.Get("If-Match")
	if match != "" && match != "*" {
		// A tag shows what is stored; a star only asks whether something is
		// (Amazon S3 User Guide, "Enforce conditional deletes").
		if refused := s.authorize("s3:GetObject"); refused != nil {
			return deleted{}, refused
		}
	}
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	switch newest := s.of.newest(s.key); {
	case match == "":
	case newest == nil && len(s.of.objects[s.key]) == 0:
		return deleted{}, s.noSuchKey()
	case newest == nil || !etagIn(match, newest.ETag):
		return deleted{}, preconditionFailed("If-Match")
	}
	if asked {
		v := s.of.removeVersion(s.key, id)
		return deleted{versionID: id, marker: v != nil && v.marker}, nil
	}
	if marker := s.of.remove(s.key); marker != nil {
		return deleted{versionID: marker.shownID(), marker: true}, nil
	}
	return deleted{}, nil
}

const (
	maxDeletes    = 1000    // DeleteObjects: "up to 1,000 keys"
	maxDeleteBody = 2 << 20 // DeleteObjects: the document's size in bytes
)

// deleteObjects handles DeleteObjects. Each deletion is authorized by itself, and
// a refused one is an entry of the response.
func deleteObjects(s *s3Request) (*response, *refusal) {
	var list struct {
		XMLName xml.Name `xml:"Delete"`
		Quiet   string
		Objects []struct {
			Key              *string
			VersionID        *string `xml:"VersionId"`
			ETag             string
			LastModifiedTime string
			Size             string
		} `xml:"Object"`
	}
	algorithm, refused := verifyChecksum(s)
	switch {
	case refused != nil:
		return nil, refused
	case algorithm == "" && s.Header.Get("Content-Md5") == "":
		return nil, refuse(400, "InvalidRequest", "Missing required header for this request: Content-MD5")
	}
	if refused := verifyMD5(s); refused != nil {
		return nil, refused
	}
	if refused := readXML(s, maxDeleteBody, &list); refused != nil {
		return nil, refused
	}
	quiet, err := strconv.ParseBool(list.Quiet)
	if list.Quiet != "" && err != nil || len(list.Objects) == 0 || len(list.Objects) > maxDeletes {
		return nil, malformedXML()
	}
	var x s3XML
	x.open("DeleteResult")
	for _, o := range list.Objects {
		if o.Key == nil || *o.Key == "" {
			return nil, malformedXML()
		}
		if o.LastModifiedTime != "" || o.Size != "" {
			return nil, refuse(501, "NotImplemented", "awstest does not implement LastModifiedTime and Size in DeleteObjects")
		}
	}
	for _, o := range list.Objects {
		header, id := http.Header{}, ""
		if o.ETag != "" {
			header.Set("If-Match", o.ETag)
		}
		if o.VersionID != nil {
			id = *o.VersionID
		}
		done, refused := deleteEntry(s, *o.Key, id, header)
		switch {
		case refused != nil:
			x.open("Error")
			x.element("Key", *o.Key)
			if id != "" {
				x.element("VersionId", id)
			}
			x.element("Code", refused.code)
			x.element("Message", refused.message)
			x.close("Error")
		case !quiet:
			x.open("Deleted")
			x.element("Key", *o.Key)
			if id != "" {
				x.element("VersionId", id)
			}
			if done.marker {
				x.element("DeleteMarker", "true")
				x.element("DeleteMarkerVersionId", done.versionID)
			}
			x.close("Deleted")
		}
	}
	x.close("DeleteResult")
	resp := x.response()
	if s.charged() {
		resp.header.Set("X-Amz-Request-Charged", "requester")
	}
	return resp, nil
}

// deleteEntry does one deletion of DeleteObjects.
func deleteEntry(s *s3Request, key, versionID string, header http.Header) (deleted, *refusal) {
	if len(key) > maxKeyLength {
		return deleted{}, keyTooLong(key)
	}
	return deleteOne(s.inner(http.MethodDelete, s.of, key, versionID, header))
}
