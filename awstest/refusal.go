package awstest

import (
	"maps"
	"net/http"
)

// refusal is an error answer before it has a document.
type refusal struct {
	status        int
	code, message string
	details       [][2]string // further elements of S3's document
	header        http.Header // further headers
}

func (r *refusal) response(req *request) *response {
	resp := errorResponse(req, r.status, r.code, r.message, r.details...)
	maps.Copy(resp.header, r.header)
	return resp
}
