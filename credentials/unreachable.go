package credentials

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/crossrole/crossrole/internal/settings"
)

// agent reports whether the hop asks a service on the node, and not STS.
func (s *session) agent() bool {
	if s.hop > 1 {
		return false
	}
	switch s.chain.source.(type) {
	case PodIdentity, NodeRole:
		return true
	}
	return false
}

const (
	associationFix = "check that the service account has a pod identity association (aws eks list-pod-identity-associations), and that its role trusts pods.eks.amazonaws.com with sts:AssumeRole and sts:TagSession"
	agentFix       = "check that the EKS Pod Identity agent runs on the node (kubectl -n kube-system get daemonset eks-pod-identity-agent) and that no network policy keeps the pod from its address; it does not exist on Fargate"
	hopLimitFix    = "let pods reach the metadata service, one network hop further away than the node's own processes: aws ec2 modify-instance-metadata-options --instance-id <the node's> --http-put-response-hop-limit 2 (HttpPutResponseHopLimit=2), and no network policy against 169.254.169.254"
	profileFix     = "attach an instance profile with a role to the node"
	otherFix       = "check what responds there: the STS endpoint comes from AWS_ENDPOINT_URL_STS, Options.STS or the region, and must not be another service's or a proxy's page (NO_PROXY)"
)

// networkFix is for a host that could not be reached.
func networkFix(host string) string {
	if host == "" {
		host = "the STS endpoint"
	}
	return "check that the pod can reach " + host + ": its name (DNS), the security group of the STS interface endpoint, HTTPS_PROXY and NO_PROXY"
}

func fipsFix() string {
	return "there may be no FIPS endpoint of STS in this region: switch it off for STS alone: " +
		settings.Name("in Options.STS, o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateDisabled", "AWS_USE_FIPS_ENDPOINT=false")
}

// regionTypo is the fix for a region that is not among those known, if the
// endpoint follows from it; otherwise none.
func (s *session) regionTypo() []string {
	region := s.chain.sts.region
	if s.chain.sts.endpoint != "" || slices.Contains(regions, region) {
		return nil
	}
	return []string{fmt.Sprintf("%q is not a region of AWS, as far as this version knows; the closest one is %s: set AWS_REGION or %s", region, closestRegion(region),
		settings.Name("aws.Config.Region", "AWS_DEFAULT_REGION"))}
}

// agentFixes are those for a hop that asks a service on the node.
func (s *session) agentFixes(e *Error) []string {
	if e.Kind == TokenUnreadable || e.Kind == TokenMalformed {
		return nil
	}
	unreachable := e.Kind == RefreshTimeout || e.Kind == STSUnreachable && statusOf(e.Err) == 0
	_, node := s.chain.source.(NodeRole)
	switch {
	case e.Kind == TokenExpired:
		return []string{rotationFix}
	case node && unreachable:
		return []string{hopLimitFix}
	case node:
		return []string{profileFix}
	case unreachable:
		return []string{agentFix}
	}
	return []string{associationFix}
}

// unreachableFixes are those for an STS that gives no usable response.
func (s *session) unreachableFixes(e *Error) []string {
	status := statusOf(e.Err)
	noHost, ok := errors.AsType[*net.DNSError](e.Err)
	fixes := s.regionTypo()
	switch {
	case status >= 500:
		return fixes // STS's own trouble: nothing to fix here
	case status != 0:
		return append(fixes, otherFix)
	case ok && noHost.IsNotFound && s.chain.sts.fips:
		fixes = append(fixes, fipsFix())
	}
	return append(fixes, networkFix(e.Endpoint))
}
