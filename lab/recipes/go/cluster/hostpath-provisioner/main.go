// Command hostpath-provisioner gives each claim of the class microk8s-hostpath a directory on the node of its pod, as
// the provisioner of MicroK8s' hostpath-storage addon does: PV_DIR is where. On other nodes than its own, NODE_NAME,
// a pod of its IMAGE in its NAMESPACE makes and removes directories. That pod tolerates no taint.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const (
	provisionerName = "microk8s.io/hostpath"
	patience        = 5 * time.Minute
)

// What the program does instead of provisioning if it is its first argument, with a directory as the second.
var jobs = map[string]func(string) error{"make": makeDirectory, "remove": os.RemoveAll}

type provisioner struct {
	root  string
	node  string
	image string
	pods  typed.PodInterface
}

// Provision makes the directory of a claim.
func (p provisioner) Provision(
	ctx context.Context, options controller.ProvisionOptions,
) (*v1.PersistentVolume, controller.ProvisioningState, error) {
	claim, node := options.PVC, p.node
	if options.SelectedNodeName != "" {
		node = options.SelectedNodeName
	}
	directory := filepath.Join(p.root, fmt.Sprintf("%s-%s-%s", claim.Namespace, claim.Name, options.PVName))
	if err := p.run(ctx, node, "make", directory); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return volume(options, node, directory), controller.ProvisioningFinished, nil
}

// makeDirectory makes one that is writable by whatever user its pods run as.
func makeDirectory(directory string) error {
	if err := os.MkdirAll(directory, 0o777); err != nil {
		return err
	}
	return os.Chmod(directory, 0o777) // the umask took what MkdirAll gave
}

// run does a job on a node.
func (p provisioner) run(ctx context.Context, node, job, directory string) error {
	if node == p.node {
		return jobs[job](directory)
	}
	pod, err := p.pods.Create(ctx, p.pod(node, job, directory), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	defer p.pods.Delete(context.WithoutCancel(ctx), pod.Name, *metav1.NewDeleteOptions(0))
	return wait.PollUntilContextTimeout(ctx, time.Second, patience, false, func(ctx context.Context) (bool, error) {
		now, err := p.pods.Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil {
			return false, nil // it may answer next time
		}
		if now.Status.Phase == v1.PodFailed {
			return false, fmt.Errorf("%s of %s failed on %s", job, directory, node)
		}
		return now.Status.Phase == v1.PodSucceeded, nil
	})
}

func (p provisioner) pod(node, job, directory string) *v1.Pod {
	kind := v1.HostPathDirectoryOrCreate
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: fmt.Sprintf("hostpath-provisioner-%s-", node)},
		Spec: v1.PodSpec{
			RestartPolicy: v1.RestartPolicyNever,
			NodeSelector:  map[string]string{v1.LabelHostname: node},
			Containers: []v1.Container{{
				Name: job, Image: p.image, ImagePullPolicy: v1.PullIfNotPresent,
				Command:      []string{"/hostpath-provisioner", job, directory},
				VolumeMounts: []v1.VolumeMount{{Name: "volumes", MountPath: p.root}},
			}},
			Volumes: []v1.Volume{{Name: "volumes", VolumeSource: v1.VolumeSource{
				HostPath: &v1.HostPathVolumeSource{Path: p.root, Type: &kind},
			}}},
		},
	}
}

func volume(options controller.ProvisionOptions, node, directory string) *v1.PersistentVolume {
	kind := v1.HostPathDirectoryOrCreate
	return &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: v1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   options.PVC.Spec.AccessModes,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: options.PVC.Spec.Resources.Requests[v1.ResourceStorage]},
			PersistentVolumeSource: v1.PersistentVolumeSource{
				HostPath: &v1.HostPathVolumeSource{Path: directory, Type: &kind},
			},
			NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{
				NodeSelectorTerms: []v1.NodeSelectorTerm{{
					MatchExpressions: []v1.NodeSelectorRequirement{{
						Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{node},
					}},
				}},
			}},
		},
	}
}

// Delete removes the directory of a volume whose class does not retain it.
func (p provisioner) Delete(ctx context.Context, volume *v1.PersistentVolume) error {
	directory := filepath.Clean(volume.Spec.HostPath.Path)
	if !strings.HasPrefix(directory, p.root+string(filepath.Separator)) {
		return &controller.IgnoredError{Reason: directory + " is not under " + p.root}
	}
	node := volume.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0]
	return p.run(ctx, node, "remove", directory)
}

func run() error {
	if len(os.Args) == 3 {
		return jobs[os.Args[1]](os.Args[2])
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	storage := provisioner{
		root:  filepath.Clean(os.Getenv("PV_DIR")),
		node:  os.Getenv("NODE_NAME"),
		image: os.Getenv("IMAGE"),
		pods:  client.CoreV1().Pods(os.Getenv("NAMESPACE")),
	}
	controller.NewProvisionController(
		ctx, client, provisionerName, storage, controller.LeaderElection(false),
	).Run(ctx)
	return nil
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
