package main

// The controller: it watches service accounts and reads an object for each. This part has
// nothing to do with AWS credentials, which are in tenants.go.

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	informers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
)

const (
	objectAnnotation = "crossrole.example/object"
	workers          = 4
	patience         = time.Minute // for one read
	// A failed read is repeated after firstRetry, then less and less often.
	firstRetry, lastRetry = time.Second, time.Minute
)

// Controller reads the object of every tenant, when the service account changes and
// then at an interval.
type Controller struct {
	tenants  *Tenants
	log      *slog.Logger
	every    time.Duration
	informer cache.SharedIndexInformer
	accounts listers.ServiceAccountLister
	queue    workqueue.TypedRateLimitingInterface[cache.ObjectName]
}

// NewController returns a controller for all namespaces of the cluster.
func NewController(client kubernetes.Interface, base aws.Config, log *slog.Logger, every time.Duration) *Controller {
	// The informer alone, because a factory links those of all kinds.
	accounts := informers.NewServiceAccountInformer(client, metav1.NamespaceAll, 0, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	return &Controller{
		tenants:  NewTenants(client, base, log),
		log:      log,
		every:    every,
		informer: accounts,
		accounts: listers.NewServiceAccountLister(accounts.GetIndexer()),
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](firstRetry, lastRetry)),
	}
}

// Run watches service accounts until ctx is done. Call it once.
func (c *Controller) Run(ctx context.Context) error {
	enqueue := func(object any) {
		if name, err := cache.DeletionHandlingObjectToName(object); err == nil {
			c.queue.Add(name)
		}
	}
	if _, err := c.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, now any) { enqueue(now) },
		DeleteFunc: enqueue,
	}); err != nil {
		return err
	}
	var running sync.WaitGroup
	running.Go(func() { c.informer.RunWithContext(ctx) })
	if cache.WaitForCacheSync(ctx.Done(), c.informer.HasSynced) {
		for range workers {
			running.Go(func() { c.work(ctx) })
		}
	}
	<-ctx.Done()
	c.queue.ShutDown()
	running.Wait()
	return nil
}

// work handles service accounts until the queue is shut down. The queue never gives the
// same account to two workers at the same time.
func (c *Controller) work(ctx context.Context) {
	for {
		name, shutdown := c.queue.Get()
		if shutdown {
			return
		}
		c.sync(ctx, name)
		c.queue.Done(name)
	}
}

// sync handles one service account: its object is read, or its chain is dropped.
func (c *Controller) sync(ctx context.Context, name cache.ObjectName) {
	log := c.log.With("serviceAccount", name.String())
	account, err := c.accounts.ServiceAccounts(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) || err == nil && account.Annotations[objectAnnotation] == "" {
		c.queue.Forget(name)
		if c.tenants.Drop(name) {
			log.Info("dropped")
		}
		return
	}
	var read content
	if err == nil {
		read, err = c.read(ctx, account)
	}
	switch {
	case ctx.Err() != nil: // the controller stops
	case err != nil:
		log.Error("not read", "err", err, "fixes", fixes(err))
		c.queue.AddRateLimited(name)
	default:
		log.Info("read", "uid", account.UID, "bytes", read.bytes, "sha256", read.sum)
		c.queue.Forget(name)
		c.queue.AddAfter(name, c.every)
	}
}

// content describes an object that was read.
type content struct {
	bytes int64
	sum   string // SHA-256, in hex
}

// read reads the service account's object as the service account's role.
func (c *Controller) read(ctx context.Context, account *corev1.ServiceAccount) (content, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	url := account.Annotations[objectAnnotation]
	rest, ok := strings.CutPrefix(url, "s3://")
	bucket, key, found := strings.Cut(rest, "/")
	if !ok || !found {
		return content{}, fmt.Errorf("annotation %s: %q is not s3://bucket/key", objectAnnotation, url)
	}
	cfg, err := c.tenants.Config(account)
	if err != nil {
		return content{}, err
	}
	reader, err := s3reader.New(cfg, bucket)
	if err != nil {
		return content{}, err
	}
	object, err := reader.Open(ctx, key)
	if err != nil {
		return content{}, err
	}
	defer object.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, object)
	return content{n, hex.EncodeToString(sum.Sum(nil))}, err
}

// fixes returns what the error suggests, ready to use, if it comes from the chain.
func fixes(err error) []string {
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		return e.Fixes
	}
	return nil
}
