// Bench measures crossrole next to what a Go program would use without it, in the
// same run, on the same simulated AWS.
//
//	go run . [-json] [-quick] [-run REGEXP] [-load N] [-svg FILE] [-list]
//
// Without -json it prints a table with the ratio of ours to each peer; with -json,
// one JSON object per line:
//
//	{"name":"hot/ns","unit":"ns","better":"lower","ours":61,"peers":{"sdk":64}}
//
// -quick makes fewer rounds: a part such as -run ^s3/ takes at most 45 seconds. -load
// runs busy loops at the same time, each in its own process: figures on a busy machine. The
// exit code is 1 if a row could not be measured; a poor figure is not an error.
//
// # Contenders
//
//   - ours: credentials.Chain, as New makes it.
//   - sdk: stscreds in aws.CredentialsCache, both with their defaults, one
//     cache for each hop.
//   - sdk-window: the same with an ExpiryWindow of 5 minutes.
//   - minio: the STS providers of minio-go v7. None of them builds a chain, so
//     [minioHub] passes the session of STSWebIdentity to STSAssumeRole.
//
// All of them take the hub route: a token file, then two roles. Ours and the peers run
// at the same time or take turns, so that no contender runs all its rounds at once.
// The figure of a row with several rounds is their median.
//
// # Rows
//
// refresh (real time): 50 callers call each provider every 20 ms over at least
// three refreshes; all providers run at the same time. STS takes 80 ms per hop and
// grants sessions of 6 s, which represent sessions of 60 s. The window of sdk-window is
// 500 ms, a twelfth of the session, as 5 minutes are of an hour. Date and Expiration in
// responses are whole seconds, as with AWS.
//   - refresh/waiting-callers: callers whose Retrieve takes more than 10 ms at a
//     refresh; median over the refreshes.
//   - refresh/max-wait-ms: the longest Retrieve after the first. It includes the
//     delays that a busy machine causes in any goroutine; refresh/noise-ms shows how
//     long those are.
//   - refresh/noise-ms: the same for callers whose provider has nothing to
//     refresh. It measures the machine and has no peers.
//
// outage (virtual time): sessions of an hour.
//   - outage/failed-calls: 50 callers call once a second in the last 20 minutes
//     of their session while STS is down: in one run it responds 503, in another
//     it refuses connections. Counts the Retrieves that fail although the session
//     is valid, of up to 120,000 (callers that wait call less often).
//   - outage/sts-calls: HTTP requests that STS receives in the five minutes after
//     the sessions have expired, while it responds 503 after 80 ms and 1,000
//     callers arrive per second, each with a timeout of 10 s. The SDK's own
//     retries are on.
//
// hang (virtual time): STS accepts requests and never responds, in one run at hop
// 1, in another at hop 2; the worse of the two counts.
//   - hang/longest-block-s: how long one caller without a deadline is blocked.
//     300 s means 300 s or more.
//   - hang/recovery-s: STS works again when that caller returns (or after 300 s).
//     This is the time from then until another caller, which calls every 100 ms or
//     waits if it must, gets credentials. 300 s means 300 s or more.
//
// hot (testing.Benchmark): Retrieve on a fresh session.
//   - hot/ns, hot/allocs: per call; median of the rounds.
//
// coldstart (real time): this program starts itself as a pod's program would be
// started; the child loads its configuration, takes the hub route and reads an
// object. STS and S3 are two TLS servers on the loopback interface, 20 ms away:
// what a client sends arrives that much later, and the first bytes of a
// connection are delayed once more, for TCP's handshake. s3reader.Open against
// s3.Client.GetObject.
//   - coldstart/ms: from before the start of the process to the object's first
//     byte; median of 21 starts (-quick: 7), ours and the SDK's in turn.
//   - coldstart/round-trips: requests, plus two for each connection (TCP and
//     TLS 1.3), as the servers count them.
//
// expired (virtual time): 8 workers make 1,000 GETs each, and a HEAD after every
// tenth (-quick: 250). Half way through, all sessions of the role are revoked: S3
// answers ExpiredToken. s3reader against s3.Client and minio.Client. (minio-go
// retries such a request ten times with the same expired key; this may take until
// the session expires.)
//   - expired/recovered: the fraction of requests that succeed.
//   - expired/refreshes: sessions that STS granted after the first.
//
// region (virtual time): STS of the pods' own region fails, and STS of another region
// works. Ours has it as its fallback region; the SDK has no such setting. minio-go is left
// out: its requests have no deadline here.
//   - region/failed-calls: 50 callers call every 30 seconds, each with a deadline of 10
//     s, while STS fails for three hours: in one run it responds 503, in another it
//     refuses connections, in a third it never responds. Sessions last an hour. Counts
//     the Retrieves that fail, of up to 54,000.
//   - region/switch-ms: the longest Retrieve that began while the latest session was
//     valid.
//   - region/home-again: STS is back for a session's life; the share of requests that the
//     own region receives in the two hours that follow.
//   - region/first-s-refused, region/first-s-hangs: the time until a pod has its first
//     session while the own region refuses connections or never responds. 300 s means
//     300 s or more.
//
// first (virtual time): 50 pods whose STS listens only after 8 s, and 50 that start from
// an EKS Pod Identity agent that listens only then. Each asks once for credentials.
//   - first/started: pods that get some.
//
// fanout: 5,000 targets, a role in each of 5,000 accounts, through one hub.
// credentials.Pool against one SDK chain per target.
//   - fanout/sts-calls: requests to use each of them once.
//   - fanout/bytes-per-target: live heap per target after a collection, with a
//     session token of 1,024 bytes.
//   - fanout/hot-ns: Retrieve on valid sessions of the targets in random order.
//     The peer "single" is the same with one chain. All take turns; the figure is
//     the lower quartile of 40 turns.
//   - fanout/warm-ratio (virtual time): the time until all have a session, at an
//     STS that responds in 80 ms and admits 600 requests a second, over 5,001/600
//     s. Ours is Pool.Warm; the SDK's chains run in as many workers and retry after
//     each failure.
//   - fanout/warm-failed: calls that failed in that time.
//
// fleet (virtual time): the chains of 10,000 pods (-quick: 1,000) at one STS that
// admits 600 requests a second (60), an account's quota, and answers Throttling to
// the others. All pods start within 10 s, request credentials every 10 s for six
// hours (-quick: two), are restarted one after the other within half an hour, and
// go through an outage of ten minutes in which STS responds 503. ours against sdk.
// One round; -svg draws the requests per minute.
//   - fleet/peak-over-mean: the busiest minute over the mean, from the second sessions
//     to the restarts.
//   - fleet/failed-calls: Retrieves that fail in the outage, of pods whose session
//     had ten minutes or more left when the outage began.
//   - fleet/recovery-ratio: the time from the outage's end until every pod that
//     failed in it has a new session, over the time that the quota alone requires
//     for these sessions. (It includes the pods' own pauses: ours are up to 60 s.)
//   - fleet/throttled: requests answered with Throttling until the restarts.
//
// The last two fleet rows are measured apart: 10,000 pods (-quick: 300) are idle until
// their sessions have expired. Then STS responds 503. The pods wake up within a minute and
// request credentials every second for ten minutes, when the outage ends. STS admits 600
// requests a second (18) of the second hop: AWS's quota is for requests that are signed
// with AWS credentials. The SDK's fleet and its quota are a fifth of that.
//   - fleet/recovery-s: from the outage's end until every pod has credentials. The quota
//     alone requires 16.7 s.
//   - fleet/outage-calls-per-pod: requests that STS receives in the outage per pod and
//     minute.
//
// s3 (real time): a server in its own process on the loopback interface generates
// objects of any size from one MiB of noise in memory and returns their CRC64NVME.
// The peers verify nothing; ours verifies the complete object. "raw" is net/http,
// "sdk" and "sdk-getobject" are s3.Client.GetObject, "transfermanager" and "manager"
// are the SDK's packages of that name, with their defaults or tuned to 16 parts of 16
// MiB, and "minio-parallel" is 16 ranges of 16 MiB with minio-go's Core. All take
// turns, after a garbage collection, in an order that rotates every round; medians are
// over five rounds or more (-quick: one to five, smaller objects; s3/rss-mib-8gib:
// two). Client and server share the machine's processors. So with two processors, a
// contender with several connections is limited by the CPU time of client and server
// together, and a contender with one connection by the busier of the two.
//   - s3/discard-mbps: 1 GiB to io.Discard.
//   - s3/random-requests, s3/random-bytes-ratio: an object's last 8 bytes and
//     64 KiB, then 40 ranges of 0.2 to 1 MiB with gaps of up to 256 KiB, read by
//     ReadAt of one Object with 64 MiB of Memory, including Open's own request;
//     the bytes that the server sent, whether read or not, over the bytes requested.
//   - s3/list-keys-per-s: 200,000 keys.
//   - s3/file-plain-mbps, s3/file-tls-mbps: 1 GiB to a file of that size.
//   - s3/capped-mbps-N: N MiB over connections of 90 MB/s each, 30 ms to the first
//     byte (-quick: a quarter of N). Contenders with one connection run once, in
//     the first row: they reach the 90 MB/s.
//   - s3/rss-mib, s3/rss-mib-8gib: the peak memory of a process that fetches 1 GiB
//     to such a file, or 8 GiB and discards them; s3/cpu-s-per-gib: the CPU time of
//     the first; s3/cpu-s-per-gib-tls: the same with TLS.
//   - s3/small-files-per-s: a directory of 10,000 objects of 8 KiB.
//
// weight: three programs that fetch an object over two hops (weight/), built
// without symbols: with the SDK alone, with a chain, with a chain and a reader.
//   - weight/binary-mib, weight/modules: the file, and the modules linked into it
//     in addition to its own, with credentials and s3reader.
//   - weight/chain-binary-mib, weight/chain-modules: the same with credentials
//     alone.
//
// growth: what one costs in a large job, compared with one in a small job, each job in a
// process of its own. In a row in "ratio", 1 means that one costs the same in both. A row
// in "MiB" is the difference between the peak memory of the two. Small and large jobs take
// turns. -quick has smaller large sizes.
//   - growth/list-time, growth/list-rss: listing 10 thousand and a million keys (-quick:
//     100 thousand), after a first page. "sdk" is its paginator.
//   - growth/dir-time, growth/dir-rss: DownloadDir of 1,000 and 200,000 objects of 8 KiB
//     (-quick: 20,000); growth/dir-again-time, growth/dir-again-rss: the same once more,
//     when nothing has changed.
//   - growth/object-rss: Download of 256 MiB and 64 GiB (-quick: 2 GiB), discarded.
//   - growth/pool-bytes: the peak memory of 100 pools with 1,000 targets each, and of one
//     pool with 100,000 (-quick: 10 and 10,000). The number of targets is the same in both
//     processes, so that what each program needs anyway does not hide growth.
//   - growth/pool-hot: CPU time of Pool.Chain and Retrieve for random targets of a pool of
//     1,000, and of one of 100,000 (-quick: 10,000). The peer is a map of credentials by
//     ARN, the least that a pool can be: its ratio shows how much longer this machine
//     takes to read memory that none of its caches holds.
//   - growth/callers: CPU time of a Retrieve by 1 goroutine and by 64: ns per call and
//     core. The peer "static" is the SDK's provider of fixed credentials, whose callers
//     share nothing that changes.
//   - growth/handles: live heap and stacks, after a collection, of each of 10 and of
//     10,000 objects of 64 KiB (-quick: 1,000) that are open, after a first read of 4 KiB. The
//     client has no limit of connections; the SDK's default is 2,048 to a host.
//
// # Virtual time
//
// Rows that would take minutes run in testing/synctest, whose clock jumps when
// every goroutine is blocked. synctest requires a *testing.T, so the program
// re-executes itself as a test binary ([virtualMain]). minio-go waits for a sync.Mutex,
// which stops a synctest clock; in virtual time, the callers queue at a channel in
// front of it instead.
package main
