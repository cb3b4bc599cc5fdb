package trust_test

import (
	"testing"

	"github.com/crossrole/crossrole/trust"
)

func TestPartitionOf(t *testing.T) {
	for name, want := range map[string]string{
		"us-east-1": "aws", "ap-southeast-7": "aws", "il-central-1": "aws", "mx-central-1": "aws", "aws-global": "aws",
		"cn-northwest-1": "aws-cn", "us-gov-east-1": "aws-us-gov", "eusc-de-east-1": "aws-eusc", "aws-us-gov-global": "aws-us-gov",
		"us-iso-east-1": "aws-iso", "us-isob-east-1": "aws-iso-b", "eu-isoe-west-1": "aws-iso-e", "us-isof-south-1": "aws-iso-f",

		"https://oidc.eks.eu-west-1.amazonaws.com/id/X":            "aws",
		"https://oidc.eks.us-gov-west-1.amazonaws.com/id/X":        "aws-us-gov",
		"https://oidc-eks.us-gov-west-1.api.aws/id/X":              "aws-us-gov",
		"https://oidc-eks.eu-west-1.api.aws/id/X":                  "aws",
		"https://oidc.eks.cn-north-1.amazonaws.com.cn/id/X":        "aws-cn",
		"oidc.eks.cn-north-1.amazonaws.com.cn/id/X":                "aws-cn",
		"https://oidc.eks.eusc-de-east-1.amazonaws.eu/id/X":        "aws-eusc",
		"https://oidc-eks.eusc-de-east-1.api.amazonwebservices.eu": "aws-eusc",
		"https://oidc.eks.us-iso-east-1.c2s.ic.gov/id/X":           "aws-iso",
		"https://oidc.eks.us-isob-east-1.sc2s.sgov.gov/id/X":       "aws-iso-b",
		"https://s3-us-gov-west-1.amazonaws.com/issuer":            "aws-us-gov",
		"https://us-gov-west-1.s3.eu-west-1.amazonaws.com":         "aws", // a bucket's name
		"https://STS.CN-NORTH-1.AMAZONAWS.COM.CN:443/":             "aws-cn",
		"sts.amazonaws.com": "aws",
		"amazonaws.com.cn":  "aws-cn",
		"amazonaws.eu":      "aws-eusc",

		"arn:aws-cn:iam::444455556666:role/x": "aws-cn",
		"arn:*:iam::444455556666:role/x":      "",

		"": "", "us-east": "", "us-east-": "", "us-east-1a": "", "us-x-y-z-1": "", "xx-east-1": "", "example.com": "",
		"https://oidc.cn-north-1.example.com": "", "notamazonaws.com": "", "https://amazonaws.com.example.com": "",
		"https://amazonaws.com@example.com": "", "://": "", "https://[::1": "", "111122223333": "",
	} {
		if got := trust.PartitionOf(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
