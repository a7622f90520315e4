// Renders and lints a chart with Helm's own loader, value schema, engine and linter, without a cluster.
//
//	chartplan CHART < [{"values":{…},"name":NAME,"namespace":NAMESPACE,"kube":VERSION,"apis":[…]},…]
//
// Prints a list of the same length: {"rendered":{TEMPLATE:TEXT},"lint":["[WARNING] …"],"error":TEXT}. What the
// schema or a template refuses is an error, as `helm install` would say it.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
)

type asked struct {
	Values    map[string]any `json:"values"`
	Name      string         `json:"name"`
	Namespace string         `json:"namespace"`
	Kube      string         `json:"kube"`
	APIs      []string       `json:"apis"`
	Lint      bool           `json:"lint"`
}

type answer struct {
	Rendered map[string]string `json:"rendered"`
	Lint     []string          `json:"lint"`
	Error    string            `json:"error"`
}

func main() {
	// The loader says of each symbolic link that it followed it.
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(folder string) error {
	var questions []asked
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		return err
	}
	answers := make([]answer, len(questions))
	for i, question := range questions {
		rendered, err := render(folder, question)
		answers[i].Rendered = rendered
		if err != nil {
			answers[i].Error = err.Error()
		}
		if question.Lint {
			answers[i].Lint = linted(folder, question)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

func render(folder string, question asked) (map[string]string, error) {
	found, err := loader.LoadDir(folder) // anew each time: rendering changes it
	if err != nil {
		return nil, err
	}
	if err := chartutil.ProcessDependencies(found, question.Values); err != nil {
		return nil, err
	}
	able, err := capabilities(found, question)
	if err != nil {
		return nil, err
	}
	release := common.ReleaseOptions{
		Name: question.Name, Namespace: question.Namespace, Revision: 1, IsInstall: true,
	}
	values, err := util.ToRenderValues(found, question.Values, release, able)
	if err != nil {
		return nil, err
	}
	return engine.Render(found, values)
}

func capabilities(found *chart.Chart, question asked) (*common.Capabilities, error) {
	able := *common.DefaultCapabilities
	if question.Kube != "" {
		version, err := common.ParseKubeVersion(question.Kube)
		if err != nil {
			return nil, err
		}
		able.KubeVersion = *version
	}
	wanted := found.Metadata.KubeVersion
	if wanted != "" && !chartutil.IsCompatibleRange(wanted, able.KubeVersion.Version) {
		return nil, fmt.Errorf("the chart wants Kubernetes %s, this is %s", wanted, able.KubeVersion.Version)
	}
	able.APIVersions = append(append(common.VersionSet{}, able.APIVersions...), question.APIs...)
	return &able, nil
}

func linted(folder string, question asked) []string {
	messages := []string{}
	for _, message := range lint.RunAll(folder, question.Values, question.Namespace).Messages {
		messages = append(messages, message.Error())
	}
	return messages
}
