package main

import (
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions are Terraform's, of its own library, as far as they are used.
var functions = map[string]function.Function{
	"alltrue":     allTrue,
	"can":         tryfunc.CanFunc,
	"concat":      stdlib.ConcatFunc,
	"contains":    stdlib.ContainsFunc,
	"floor":       stdlib.FloorFunc,
	"join":        stdlib.JoinFunc,
	"jsonencode":  stdlib.JSONEncodeFunc,
	"keys":        stdlib.KeysFunc,
	"length":      stdlib.LengthFunc,
	"lookup":      stdlib.LookupFunc,
	"max":         stdlib.MaxFunc,
	"merge":       stdlib.MergeFunc,
	"regex":       stdlib.RegexFunc,
	"setsubtract": stdlib.SetSubtractFunc,
	"split":       stdlib.SplitFunc,
	"tostring":    stdlib.MakeToFunc(cty.String),
	"toset":       stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
	"values":      stdlib.ValuesFunc,
}

var allTrue = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
	Type:   function.StaticReturnType(cty.Bool),
	Impl: func(given []cty.Value, _ cty.Type) (cty.Value, error) {
		for iterator := given[0].ElementIterator(); iterator.Next(); {
			if _, value := iterator.Element(); !value.RawEquals(cty.True) {
				return cty.False, nil
			}
		}
		return cty.True, nil
	},
})
