package awstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/crossrole/crossrole/trust"
)

// managedPolicies are the AWS managed policies that PolicyArns may name.
var managedPolicies = map[string]string{
	"arn:aws:iam::aws:policy/AdministratorAccess":    `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
	"arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*","s3-object-lambda:Get*","s3-object-lambda:List*"],"Resource":"*"}]}`,
	"arn:aws:iam::aws:policy/AmazonS3FullAccess":     `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","s3-object-lambda:*"],"Resource":"*"}]}`,
}

// packedBytes is the space that session policies and tags share.
const packedBytes = 2048

// sessionPolicies reads Policy and PolicyArns and counts the bytes that they
// take. What any of them allows, the session policies together allow; nil if
// there are none.
func (r *request) sessionPolicies() (union *trust.Policy, size int, refused *refusal) {
	if document := r.param("Policy"); document != "" {
		p, err := trust.ParsePolicy([]byte(document))
		if err == nil {
			err = p.ValidateIdentity()
		}
		var compact bytes.Buffer
		if jsonErr := json.Compact(&compact, []byte(document)); jsonErr != nil {
			return nil, 0, malformedPolicy(r, "This policy contains invalid Json", jsonErr)
		}
		if err != nil {
			return nil, 0, malformedPolicy(r, "Syntax errors in policy.", err)
		}
		union, size = p, compact.Len()
	}
	for _, arn := range r.params(r.list("PolicyArns"), ".arn") {
		document, ok := managedPolicies[arn]
		if !ok {
			return nil, 0, invalid("Policy %s does not exist or is not attachable.", arn)
		}
		p, err := trust.ParsePolicy([]byte(document))
		if err != nil {
			panic(fmt.Sprintf("awstest: managed policy %s: %v", arn, err)) // they are our own
		}
		if union == nil {
			union = &trust.Policy{Version: p.Version}
		}
		// The managed policies have no variables, so that they mean the same
		// under any Version.
		union.Statements = append(union.Statements, p.Statements...)
		size += len(arn)
	}
	return union, size, nil
}

func malformedPolicy(r *request, message string, err error) *refusal {
	r.call.Explain = "session policy: " + err.Error()
	return &refusal{status: http.StatusBadRequest, code: "MalformedPolicyDocument", message: message}
}

// packed is the percentage of the space for policies and tags that is used. AWS
// packs in a way that it does not publish; here every byte of the policies
// without white space, of the policies' ARNs and of the tags' keys and values
// counts as one, against 2,048.
func packed(size int) (percent int, refused *refusal) {
	percent = (size*100 + packedBytes - 1) / packedBytes
	if percent > 100 {
		return percent, &refusal{
			status: http.StatusBadRequest, code: "PackedPolicyTooLarge",
			message: fmt.Sprintf("Packed policy consumes %d%% of allotted space, please use smaller policy.", percent),
		}
	}
	return percent, nil
}
