// Command hostpath-provisioner gives each claim of the class microk8s-hostpath a directory of its node, as the
// provisioner of MicroK8s' hostpath-storage addon does: PV_DIR is where, NODE_NAME is whose.
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

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const provisionerName = "microk8s.io/hostpath"

type provisioner struct {
	root string
	node string
}

// Provision makes the directory of a claim, writable by whatever user its pods run as.
func (p provisioner) Provision(
	_ context.Context, options controller.ProvisionOptions,
) (*v1.PersistentVolume, controller.ProvisioningState, error) {
	claim := options.PVC
	directory := filepath.Join(p.root, fmt.Sprintf("%s-%s-%s", claim.Namespace, claim.Name, options.PVName))
	if err := os.MkdirAll(directory, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if err := os.Chmod(directory, 0o777); err != nil { // the umask took what MkdirAll gave
		return nil, controller.ProvisioningFinished, err
	}
	return p.volume(options, directory), controller.ProvisioningFinished, nil
}

func (p provisioner) volume(options controller.ProvisionOptions, directory string) *v1.PersistentVolume {
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
						Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{p.node},
					}},
				}},
			}},
		},
	}
}

// Delete removes the directory of a volume whose class does not retain it.
func (p provisioner) Delete(_ context.Context, volume *v1.PersistentVolume) error {
	directory := filepath.Clean(volume.Spec.HostPath.Path)
	if !strings.HasPrefix(directory, p.root+string(filepath.Separator)) {
		return &controller.IgnoredError{Reason: directory + " is not under " + p.root}
	}
	return os.RemoveAll(directory)
}

func run() error {
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
	storage := provisioner{root: filepath.Clean(os.Getenv("PV_DIR")), node: os.Getenv("NODE_NAME")}
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
