//! Scripts outside of tags: handlers in attributes, URLs, calls, tricks. What is in tags is `html`'s.

use super::{
    AGENT, Check, PATH, VALUES, check,
    form::{ALL, RAW, TEXT},
    weak,
};

const ON: u16 = VALUES | AGENT;

/// Events that HTML's handlers are named by.
macro_rules! events {
    () => {
        r"(?:abort|activate|ad(?:dtrack|apteradded)|after(?:print|scriptexecute|update)|animation(?:cancel|end|iteration|start)|audio(?:end|process|start)|auxclick|before(?:activate|copy|cut|deactivate|editfocus|input|load|match|paste|print|scriptexecute|toggle|unload|update|xrselect)|begin|blur|bounce|broadcast|cached|cancel|canplay(?:through)?|cellchange|change|chargingchange|click|close|command(?:update)?|complete|compositionend|compositionstart|contextmenu|controlselect|copy|cuechange|cut|data(?:available|setchanged|setcomplete)|dblclick|deactivate|device(?:light|motion|orientation)|drag(?:drop|end|enter|exit|gesture|leave|over|start)?|drop|durationchange|emptied|end(?:ed|event)?|error(?:update)?|exit|filterchange|finish|focus(?:in|out)?|formchange|forminput|formdata|fullscreenchange|fullscreenerror|gotpointercapture|hashchange|help|input|invalid|key(?:down|press|up)|languagechange|layoutcomplete|load(?:ed(?:data|metadata)|end|start)?|location|losecapture|lostpointercapture|message(?:error)?|mouse(?:down|enter|leave|move|out|over|up|wheel)|move(?:end|start)?|mozfullscreenchange|offline|online|open|outofsync|page(?:hide|reveal|show|swap)|paste|pause|play(?:ing)?|pointer(?:cancel|down|enter|leave|move|out|over|rawupdate|up)|popstate|progress|propertychange|ratechange|readystatechange|repeat|reset|resize(?:end|start)?|resume|reverse|row(?:delete|enter|exit|inserted|sdelete|sinserted)|scroll(?:end|snapchange|snapchanging)?|search|seek(?:ed|ing)?|securitypolicyviolation|select(?:ionchange|start)?|show|slotchange|stalled|start|stop|storage|submit|suspend|syncrestored|time(?:error|out|update)|toggle|touch(?:cancel|end|enter|leave|move|start)|track(?:change)?|transition(?:cancel|end|run|start)|unhandledrejection|unload|urlflip|volumechange|waiting|webkit(?:animationend|animationiteration|animationstart|transitionend|mouseforcechanged|mouseforcedown|mouseforceup|mouseforcewillbegin|playbacktargetavailabilitychanged|presentationmodechanged|willrevealbottom|willrevealleft|willrevealright|willrevealtop|fullscreenchange|fullscreenerror)|wheel|zoom)"
    };
}

pub(super) const CHECKS: &[Check] = &[
    check!(
        94105,
        1,
        Xss,
        ON,
        RAW | TEXT,
        "handler of an event in an attribute",
        concat!(r"(?:^|[\s'\x22`;/0-9=,(\x0b\x0c<&])on", events!(), r"[\s\x00]*=[\s\x00]*[^=\s]")
    ),
    check!(
        94106,
        1,
        Xss,
        ON | PATH,
        RAW | TEXT,
        "URL that runs",
        r"(?:javascript|vbscript|livescript|jscript)\s*:\s*(?:[\w.$@]+\s*[(=\[`/&]|[/%\\&'\x22`(\[{!+~-]|[a-z]+\.[a-z]|void\b|//|\d+[;,/])|j\s+avascript\s*:|ja\s+vascript\s*:|jav\s+ascript\s*:|java[\s\x00-\x1f]*[\t\n\r\x01-\x1f][\s\x00-\x1f]*script\s*:|javas\s+cript\s*:|javasc\s+ript\s*:|javascri\s+pt\s*:|javascrip\s+t\s*:|url\s*\(\s*['\x22]?\s*(?:javascript|vbscript)|data:\s*(?:text/(?:html|xml|javascript)|application/(?:x-)?(?:javascript|xhtml|xml)|image/svg)[^,]*,|\bdata:[^,<]{0,40},[^<]{0,80}<[^>]*\w[^>]*>|data:[^,]{0,40};base64,(?:phn2zy|phnjcmlwd|pgh0bw|pcfk)|@import\s*(?:['\x22\\]|url\b|/\*)|-moz-binding|behaviou?r\s*:\s*url|x-javascript|\bfeed:\s*(?:javascript|data)"
    ),
    check!(
        94107,
        1,
        Xss,
        ON,
        ALL,
        "script that reaches the page",
        concat!(
            r"\bdocument[\s)]*(?:\.|\[\s*['\x22`])\s*(?:cookie|write(?:ln)?|domain|location|body|forms|documentelement|scripts|url|referrer|implementation|defaultview|title|open|attachevent|execcommand)|\b(?:(?:window|frames|globalthis)\s*\.\s*|(?:top|self|parent|this)\s*\.|(?:window|top|self|parent|frames|this|globalthis)\s*\[\s*)['\x22`/]?(?:location|alert|name|open|eval|document|settimeout|setinterval|confirm|prompt|localstorage|parent|top|self|frames|onerror|origin|['\x22]?\s*\+)|\.(?:innerhtml|outerhtml|insertadjacenthtml|srcdoc|parentnode|appendchild|setattribute|createcontextualfragment)\b|\blocation\s*(?:\.\s*(?:href|hash|search|assign|replace|reload)|=\s*(?:['\x22`/]|name\b|hash\b|url\b|atob|unescape|decodeuri|(?:window|document|self|top|this|string)\b|\w+\s?[(\[+]))|\bxmlhttprequest\b|\bactivexobject\b|\bimportscripts\s*\(|\blocalstorage\s*[.\[]|\bnavigator\s*\.\s*(?:sendbeacon|serviceworker)"
        )
    ),
    check!(
        94108,
        1,
        Xss,
        ON,
        ALL,
        "call of a script's function",
        concat!(
            r"\b(?:alert|confirm|prompt|eval|settimeout|setinterval|unescape|atob|msgbox|execscript|fromcharcode)\s*(?:\(|`|&lpar;|\x5c?\x60)\s*(?:['\x22`/\d(!\[{]|document|window|location|this|self|top|string|unescape|atob|name|xss|cookie|origin|\)|eval|[a-z]+\s*\(|[a-z]\s*\)|&)|\b(?:alert|confirm|prompt|eval|btoa|atob|import)\(|\bfetch\s?\(\s?['\x22`]?\s?(?:https?:|//|\+|[^'\x22`)]{0,80}(?:cookie|document|location|storage))|\bconsole\.(?:log|dir)\s?\(|(?:^|[=,\[(.\s;])(?:alert|confirm|prompt|eval)\s*[)\]`]|\bthrow\s*(?:onerror|[\w'\x22]+\s*\})|[\[.]\s*(?:map|find|every|filter|foreach|some|call|apply|bind|constructor|concat)\s*['\x22\]]*\s*\(\s*(?:alert|confirm|prompt|eval|['\x22])|\b(?:self|document|this|top|window|frames|parent|globalthis)(?:\s?/\*|\[|\s\[\s?['\x22\x60(+/])|\.\s?(?:call|apply|bind|sort|map|find|replace|constructor|concat|filter|from)\s?\x60|\breflect\.(?:construct|apply)|\bset\.constructor|\bfunction\s*\(\s*['\x22`]|new\s+function\s*[(`]|=\s*(?:alert|confirm|prompt|eval)\b|//\s*['\x22]?\s*;?\s*(?:alert|confirm|prompt)\b"
        )
    ),
    check!(
        94109,
        1,
        Xss,
        ON,
        ALL,
        "script of few characters",
        r"(?:\[\]|!\[\]|\(!?\[\]|\+!!?\[)\s*[\[+(]\s*(?:!|\+|\[|\()\s*[\[+!]|!!?\[\]\s*\+|\[\s*\]\s*\[\s*['\x22(!+]|\(\s*\[\s*\]\s*\[|\+\s*\{\s*\}\s*[\[)]|\$\s*=\s*~\s*\[|゚ω゚"
    ),
    check!(
        94110,
        1,
        Xss,
        ON,
        ALL,
        "expression of a framework in the page",
        r"\{\{.*?(?:constructor|\$on|\$eval|\balert\b|prototype|\.call\(|\[\[|tostring\(|charat|\bconfirm\b|\bprompt\b|_c\.|\$emit|template|document\.|window\.|\bthis\b).*?\}\}|\bng-(?:app|init|click|bind|include|src|csp|focus|mouseover)\b|\bv-(?:on|bind|html)\s*[:=]|\bx-(?:on|data|init|html)\s*[:=]|\bdata-ng-\w+\s*=|\bhx-(?:on|get|post|trigger)\s*[:=]|\bfscommand\b|\bseeksegmenttime\b"
    ),
    check!(
        94111,
        1,
        Xss,
        ON,
        RAW | TEXT,
        "markup of a browser of old",
        r"[\s'\x22`]style\s*=[^>]*(?:expression|behaviou?r|javascript|-moz-binding|url\s*\(\s*['\x22]?\s*(?:javascript|data:text))|\bexpression\s*(?:/\*.*?\*/)?\s*\(\s*(?:alert|document|window|this|eval|open|function|[a-z]+\s*\()|\+adw-|\+ad4-|\xc2\xbc/?[a-z]\w*[^\s]{0,60}\xc2\xbe|\bxlink:href\s*=|\bformaction\s*=|<!entity\s|\bxmlns(?::\w+)?\s*=\s*[^h\x22'\s]|\xbc(?:script|img|svg|/?[a-z]+)[^\xbe]*\xbe|<[^>]{0,80}=\s*['\x22]?\s*(?:j|&#|\\0*6a)[^>]*(?:&#|\\)|<\?import|<!\[cdata\[|<\w+[^>]*\bformaction\b|<[?/]?import|&#x?0*(?:6a|4a|106|74)[;&]|\\(?:75|165|u0{0,2}75)\b|(?:^|[\s'\x22`])(?:src|href|formaction|xlink:href|srcdoc|action)\s*=\s*['\x22`]?\s*(?:javascript|vbscript|data:text)"
    ),
    check!(
        94112,
        1,
        Xss,
        ON,
        RAW | TEXT,
        "end of an attribute and a tag",
        r"^[^<]{0,40}['\x22`]\s*/?>\s*<\s*/?\s*[a-z!]+[^>]*\s(?:on\w+|src|href|style)\s*=\s*[^\s>]|^[^<]{0,200}['\x22]\s*/?>\s*<\s*(?:script|svg|iframe|body|object|embed|math|style|link|meta)|</\s*(?:script|style|title|textarea|noscript|xmp|iframe)\b|^['\x22]?\s*(?:autofocus|accesskey|contenteditable|style|tabindex)\s+on[a-z]+"
    ),
    check!(94113, 2, Xss, ON, TEXT, "HTML tag", r"<[/?!]?[a-z][^>]*(?:>|$)"),
    weak(check!(
        94114,
        1,
        Xss,
        ON,
        ALL,
        "what scripts call to work with a page",
        r"\bdocument\s?(?:\.|\[\s?['\x22`])\s?(?:createelement|getelement\w*|queryselector\w*|addeventlistener)|\bfetch\s?(?:\(|`)\s?['\x22`/\d(!\[{]"
    )),
];
