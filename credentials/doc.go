// Package credentials turns a pod's identity into credentials of a role in
// another AWS account, and keeps them fresh.
//
// Start with [Wrap], which signs an existing aws.Config:
//
//	base, err := config.LoadDefaultConfig(ctx, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
//	…
//	cfg, err := credentials.Wrap(base)                             // direct: the token into AWS_ROLE_ARN
//	cfg, err := credentials.Wrap(base, credentials.Assume(target)) // hub: AWS_ROLE_ARN first, then target
//
// A [Chain] has a source, which is where the pod's own identity comes from (its
// web identity unless chosen otherwise), and roles, which are assumed one after
// the other. Each step is a hop and yields a session. Sessions are renewed in
// the background before they end; a failed renewal never spoils a valid
// session; whatever fails comes as an [*Error] that names the hop, the cause
// and the fix.
//
// For many target roles see [NewPool], for a process that idles [Chain.KeepFresh],
// for a link or a job that takes keys along [Chain.RetrieveFor], and to see what
// fails [Chain.Check].
//
// # Where settings come from
//
// From the options, and for empty fields of [WebIdentity] and [PodIdentity]
// from the variables that EKS injects. The region is base.Region, AWS_REGION or
// AWS_DEFAULT_REGION; the STS endpoint is Options.STS, AWS_ENDPOINT_URL_STS or
// the region's. A variable set to the empty string is unset. Nothing else in
// the environment has any influence on a chain, but for what base was loaded with:
// its HTTP client (HTTPS_PROXY, AWS_CA_BUNDLE), FIPS and dual stack. Clients made
// from the wrapped configuration have base's endpoints, such as
// AWS_ENDPOINT_URL_S3. base.Credentials is used by [FromBase] only.
//
// # Services other than S3
//
// A wrapped configuration serves every client of the SDK. When a service
// responds that the session has expired, the session is renewed and the request
// retried, once.
package credentials
