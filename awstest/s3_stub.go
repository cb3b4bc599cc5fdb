package awstest

// serveS3 stands in until the S3 half lands.
func (c *Cloud) serveS3(req *request) *response {
	return errorResponse(req, 501, "NotImplemented", "S3 is not built yet")
}
