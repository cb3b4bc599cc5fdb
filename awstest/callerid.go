package awstest

import "strings"

// getCallerIdentity tells who signed; no policy can deny it.
func (c *Cloud) getCallerIdentity(req *request) *response {
	var b strings.Builder
	element(&b, "Arn", req.caller.arn)
	element(&b, "UserId", req.caller.userID)
	element(&b, "Account", req.caller.account.id)
	return stsResponse(req, b.String())
}
