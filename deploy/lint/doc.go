// Package lint checks what lies in deploy/ by the libraries of those who define the
// formats: the Dockerfile by BuildKit, compose.yaml by Docker Compose's loader, and the
// manifests by the types of Kubernetes' API. It is a module of its own, so that none of
// them is a dependency of the product.
//
// image/ carries out the Dockerfile as far as that is possible without a container
// engine. .ci/deploy runs all of it.
package lint
