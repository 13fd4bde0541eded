"""The conformance kit: laws that every plugin must keep, as test classes to subclass.

    from rnn_tui.plugin.testing.architecture import ArchitectureLaws
    from my_package import MyCell

    class TestMyCell(ArchitectureLaws):
        architecture = MyCell

    from rnn_tui.plugin.testing.tokenizer import TokenizerLaws

    class TestMyTokenizer(TokenizerLaws):
        tokenizer_class = MyTokenizer
        text = "some text to train on"

Run them with pytest; the laws of tokenizers need hypothesis too. Each failure names the law and what breaks it.
"""
