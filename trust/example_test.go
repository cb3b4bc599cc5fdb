package trust_test

import (
	"encoding/base64"
	"fmt"
	"log"

	"github.com/crossrole/crossrole/trust"
)

func ExampleParseToken() {
	// In a pod: os.ReadFile(os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE")).
	encode := base64.RawURLEncoding.EncodeToString
	raw := encode([]byte(`{"alg":"RS256"}`)) + "." + encode([]byte(`{
		"iss": "https://oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001",
		"sub": "system:serviceaccount:apps:reader",
		"aud": ["sts.amazonaws.com"],
		"exp": 1800086400
	}`)) + "." + encode([]byte("signature")) + "\n"

	token, err := trust.ParseToken([]byte(raw))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Issuer)
	fmt.Println(token.Subject)
	fmt.Printf("%q until %s\n", token.Audience, token.Expires)
	fmt.Println(token.Namespace, token.ServiceAccount)

	_, err = trust.ParseToken([]byte(raw[:100]))
	fmt.Println(err)
	// Output:
	// https://oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001
	// system:serviceaccount:apps:reader
	// ["sts.amazonaws.com"] until 2027-01-16 08:00:00 +0000 UTC
	// apps reader
	// trust: the token has 2 of the 3 parts between dots that a signed token has: it is not one, or only half of it was written
}

func ExampleToken_ProviderARN() {
	token := trust.Token{Issuer: "https://oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001"}
	fmt.Println(token.ProviderARN("aws", "444455556666"))
	// Output:
	// arn:aws:iam::444455556666:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001
}

func ExampleParsePolicy() {
	_, err := trust.ParsePolicy([]byte(`{
		"Version": "2012-10-17",
		"Statement": {
			"Sid": "Hub",
			"Effect": "Allow",
			"Principal": {"AWS": "arn:aws:iam::111122223333:role/*"},
			"Action": "sts:AssumeRole"
		}
	}`))
	fmt.Println(err)
	// Output:
	// trust: statement 0 (Sid "Hub"), Principal: AWS "arn:aws:iam::111122223333:role/*" has a wildcard: a principal names one identity, only "*" alone stands for all (use a Condition on aws:PrincipalArn for a pattern)
}

func ExamplePolicy_ValidateTrust() {
	policy, err := trust.ParsePolicy([]byte(`{"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}`))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(policy.ValidateIdentity())
	fmt.Println(policy.ValidateTrust())
	// Output:
	// <nil>
	// trust: statement 0, Principal: it is missing: a statement of a trust policy needs it
	// trust: statement 0, Resource: a trust policy must not have it: its resource is the role
	// trust: statement 0, Action: "s3:GetObject" is not an sts action, the only ones a trust policy may have
}

func ExamplePolicy_ValidateResource() {
	policy := &trust.Policy{Version: "2012-10-17", Statements: []trust.Statement{{
		Effect:    "Allow",
		Principal: trust.Principals{"AWS": {"444455556666"}},
		Action:    []string{"s3:GetObject"},
		Resource:  []string{"pics/*"},
	}}}
	fmt.Println(policy.ValidateResource())
	// Output:
	// trust: statement 0, Resource: "pics/*" is neither "*" nor an ARN, like arn:aws:s3:::bucket/*
}

func ExampleWebIdentityPolicy() {
	policy := trust.WebIdentityPolicy("444455556666",
		[]string{"https://oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001"},
		[]string{"system:serviceaccount:apps:reader"})
	fmt.Println(policy)
	// Output:
	// {
	//   "Version": "2012-10-17",
	//   "Statement": [
	//     {
	//       "Effect": "Allow",
	//       "Principal": {
	//         "Federated": "arn:aws:iam::444455556666:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001"
	//       },
	//       "Action": "sts:AssumeRoleWithWebIdentity",
	//       "Condition": {
	//         "StringEquals": {
	//           "oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001:aud": "sts.amazonaws.com",
	//           "oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001:sub": "system:serviceaccount:apps:reader"
	//         }
	//       }
	//     }
	//   ]
	// }
}

func ExampleRolePolicy() {
	policy := trust.RolePolicy("arn:aws:iam::111122223333:role/hub", func(o *trust.PolicyOptions) {
		o.TagSession = true
	})
	fmt.Println(policy)
	// Output:
	// {
	//   "Version": "2012-10-17",
	//   "Statement": [
	//     {
	//       "Effect": "Allow",
	//       "Principal": {
	//         "AWS": "arn:aws:iam::111122223333:role/hub"
	//       },
	//       "Action": [
	//         "sts:AssumeRole",
	//         "sts:TagSession"
	//       ]
	//     }
	//   ]
	// }
}

// The target trusts one hub role per cluster, also of clusters to come.
func ExampleRolePolicy_hubPattern() {
	policy := trust.RolePolicy("arn:aws:iam::111122223333:role/hub-*", func(o *trust.PolicyOptions) {
		o.HubPattern = true
	})
	fmt.Println(policy)
	// Output:
	// {
	//   "Version": "2012-10-17",
	//   "Statement": [
	//     {
	//       "Effect": "Allow",
	//       "Principal": {
	//         "AWS": "arn:aws:iam::111122223333:root"
	//       },
	//       "Action": "sts:AssumeRole",
	//       "Condition": {
	//         "ArnLike": {
	//           "aws:PrincipalArn": "arn:aws:iam::111122223333:role/hub-*"
	//         }
	//       }
	//     }
	//   ]
	// }
}

func ExampleAssumePolicy() {
	fmt.Println(trust.AssumePolicy([]string{"arn:aws:iam::444455556666:role/S3_Pics"}))
	// Output:
	// {
	//   "Version": "2012-10-17",
	//   "Statement": [
	//     {
	//       "Effect": "Allow",
	//       "Action": "sts:AssumeRole",
	//       "Resource": "arn:aws:iam::444455556666:role/S3_Pics"
	//     }
	//   ]
	// }
}

func ExampleReadBucketPolicy() {
	fmt.Println(trust.ReadBucketPolicy("pics", "indoor/"))
	// Output:
	// {
	//   "Version": "2012-10-17",
	//   "Statement": [
	//     {
	//       "Effect": "Allow",
	//       "Action": [
	//         "s3:GetObject",
	//         "s3:GetObjectVersion"
	//       ],
	//       "Resource": "arn:aws:s3:::pics/indoor/*"
	//     },
	//     {
	//       "Effect": "Allow",
	//       "Action": "s3:ListBucket",
	//       "Resource": "arn:aws:s3:::pics",
	//       "Condition": {
	//         "StringLike": {
	//           "s3:prefix": "indoor/*"
	//         }
	//       }
	//     }
	//   ]
	// }
}

func ExamplePolicy_Explain() {
	policy, err := trust.ParsePolicy([]byte(`{
		"Version": "2012-10-17",
		"Statement": {
			"Effect": "Allow",
			"Principal": {"Federated": "arn:aws:iam::444455556666:oidc-provider/example.com/BLUE"},
			"Action": "sts:AssumeRoleWithWebIdentity",
			"Condition": {"StringEquals": {"example.com/BLUE:sub": "system:serviceaccount:apps:*"}}
		}
	}`))
	if err != nil {
		log.Fatal(err)
	}
	token := trust.Token{Issuer: "https://example.com/BLUE", Subject: "system:serviceaccount:apps:reader"}
	decision := policy.Explain(trust.Request{
		Action:    "sts:AssumeRoleWithWebIdentity",
		Principal: trust.Principals{"Federated": {token.ProviderARN("aws", "444455556666")}},
		Context:   map[string][]string{"example.com/BLUE:sub": {token.Subject}},
	})
	fmt.Println(decision.Allowed)
	for _, reason := range decision.Reasons {
		fmt.Printf("statement %d, %s: %s\n", reason.Statement, reason.Element, reason.Text)
	}
	// Output:
	// false
	// statement 0, Condition: StringEquals compares "*" literally: example.com/BLUE:sub is "system:serviceaccount:apps:reader", the policy requires "system:serviceaccount:apps:*"; use StringLike for wildcards
}

func ExamplePartitionOf() {
	fmt.Println(trust.PartitionOf("https://oidc.eks.us-gov-west-1.amazonaws.com/id/BLUE0001"))
	fmt.Println(trust.PartitionOf("eusc-de-east-1"))
	fmt.Println(trust.PartitionOf("amazonaws.com.cn"))
	fmt.Printf("%q\n", trust.PartitionOf("https://oidc.example.com"))
	// Output:
	// aws-us-gov
	// aws-eusc
	// aws-cn
	// ""
}

func ExamplePolicy_Size() {
	policy := trust.WebIdentityPolicy("444455556666",
		[]string{"https://oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001"},
		[]string{"system:serviceaccount:apps:reader"})
	fmt.Printf("%d of %d characters\n", policy.Size(), trust.MaxTrustPolicySize)
	// Output:
	// 400 of 2048 characters
}

func ExampleStatement_String() {
	policy := trust.RolePolicy("arn:aws:iam::111122223333:role/hub")
	fmt.Println("add this statement:", policy.Statements[0])
	// Output:
	// add this statement: {
	//   "Effect": "Allow",
	//   "Principal": {
	//     "AWS": "arn:aws:iam::111122223333:role/hub"
	//   },
	//   "Action": "sts:AssumeRole"
	// }
}
