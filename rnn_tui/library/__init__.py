"""What `import rnn_tui` offers to a program: load a model and ask it, train one, look at runs.

    import rnn_tui

    run = rnn_tui.train(corpus="book.txt", arch="gru", hidden_size=256, minutes=3)
    model = run.model()                                     # the best so far; rnn_tui.load("gru-book-1") is the same

    model.generate("Once upon", length=400, temperature=0.7, seed=1)
    model.score("It was a dark and stormy night.").bpc      # bits per character
    model.evaluate().baselines                              # beside simple models of the same text

    start = model.read("She said: ")                        # a snapshot of the state, to branch from
    start.next(top=3)
    start.generate(n=5, length=40)

    history = run.history()
    plt.plot(history.step, history.loss)

`import rnn_tui` takes less than a millisecond; torch is loaded by `load`, and not by `train`, whose worker is a process
of its own. Nothing is printed, and no logger is used. What fails raises a subclass of `RnnTuiError` whose message is
one line, safe to show on a terminal; where it names a flag of the command line, the setting of that name is meant.
Texts that come from models, corpora and runs are returned as they are: who prints them to a terminal may want
`rnn_tui.safetext.safe_text` around them.
"""
