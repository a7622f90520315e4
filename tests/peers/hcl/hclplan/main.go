// Works out a Terraform configuration with HashiCorp's own parser and evaluator, without a provider.
//
//	hclplan < {"files":{NAME:TEXT},"values":TFVARS,"variables":{…},"data":{"TYPE.NAME":{…}},
//	           "attributes":{TYPE:[NAME…]}}
//
// What is given under variables goes before what the text of a tfvars file has.
// Every expression is evaluated. An attribute that only the provider knows is the text
// "TYPE.NAME[KEY].ATTRIBUTE". Prints {"locals","outputs","resources":{"TYPE.NAME":{KEY:{…}}},"unused"};
// exit code 1, with what is wrong, where something does not hold. No count, no dynamic, no modules.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

type input struct {
	Files      map[string]string          `json:"files"`
	Values     string                     `json:"values"`
	Variables  map[string]json.RawMessage `json:"variables"`
	Data       map[string]json.RawMessage `json:"data"`
	Attributes map[string][]string        `json:"attributes"`
}

func main() {
	if err := run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run() error {
	var given input
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		return err
	}
	found, err := parse(given)
	if err != nil {
		return err
	}
	plan := map[string]any{}
	var faults []error
	for _, part := range []struct {
		name string
		work func() (map[string]cty.Value, error)
	}{{"locals", found.allLocals}, {"resources", found.allResources}, {"outputs", found.allOutputs}} {
		values, err := part.work()
		faults = append(faults, err)
		plan[part.name] = encoded(values)
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	plan["unused"] = found.unusedNames()
	return json.NewEncoder(os.Stdout).Encode(plan)
}

func encoded(values map[string]cty.Value) map[string]json.RawMessage {
	texts := map[string]json.RawMessage{}
	for name, value := range values {
		text, err := ctyjson.Marshal(value, value.Type())
		if err != nil {
			text, _ = json.Marshal(err.Error())
		}
		texts[name] = text
	}
	return texts
}
