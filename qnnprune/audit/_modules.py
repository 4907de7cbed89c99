def module_subject(model, input_range, input_shape):
    raise NotImplementedError
