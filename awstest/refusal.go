package awstest

// refusal is an error answer before it has a document.
type refusal struct {
	status        int
	code, message string
	details       [][2]string // further elements of S3's document
}

func (r *refusal) response(req *request) *response {
	return errorResponse(req, r.status, r.code, r.message, r.details...)
}
